package main

import (
	"context"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var balancers = map[string]func() kgo.GroupBalancer{
	"range": kgo.RangeBalancer, "roundrobin": kgo.RoundRobinBalancer, "sticky": kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}

type owned struct {
	sync.Mutex
	partitions map[int32]bool
}

func (o *owned) change(parts map[string][]int32, has bool) {
	o.Lock()
	defer o.Unlock()
	for _, list := range parts {
		for _, p := range list {
			if has {
				o.partitions[p] = true
			} else {
				delete(o.partitions, p)
			}
		}
	}
	list := []int{}
	for p := range o.partitions {
		list = append(list, int(p))
	}
	sort.Ints(list)
	say(map[string]any{"owns": list})
}

// A member of a consumer group: member BOOTSTRAP GROUP TOPIC ASSIGNOR [INSTANCE]. See test_members.py.
func member(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	mine := &owned{partitions: map[int32]bool{}}
	opts := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(args[0], ",")...), kgo.ConsumerGroup(args[1]), kgo.ConsumeTopics(args[2]),
		kgo.Balancers(balancers[args[3]]()), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { mine.change(p, true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { mine.change(p, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { mine.change(p, false) }),
	}
	if len(args) > 4 {
		opts = append(opts, kgo.InstanceID(args[4]))
	}
	client := must(kgo.NewClient(opts...))
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			say(map[string]any{"p": r.Partition, "o": r.Offset, "v": string(r.Value)})
		})
		if fetches.NumRecords() > 0 {
			client.CommitUncommittedOffsets(ctx) // an error: whoever has the partition now reads it again
		}
	}
	client.Close()
}
