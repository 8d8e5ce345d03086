// A member of a consumer group on sarama: BOOTSTRAP GROUP TOPIC ASSIGNOR [INSTANCE]. See test_members.py.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
)

var out sync.Mutex

func say(v map[string]any) {
	out.Lock()
	defer out.Unlock()
	text, _ := json.Marshal(v)
	fmt.Println(string(text))
}

type handler struct{ topic string }

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	list := []int{}
	for _, p := range s.Claims()[h.topic] {
		list = append(list, int(p))
	}
	sort.Ints(list)
	say(map[string]any{"owns": list})
	return nil
}

func (handler) Cleanup(sarama.ConsumerGroupSession) error {
	say(map[string]any{"owns": []int{}})
	return nil
}

func (handler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		say(map[string]any{"p": m.Partition, "o": m.Offset, "v": string(m.Value)})
		s.MarkMessage(m, "")
		s.Commit()
	}
	return nil
}

func main() {
	args := os.Args[1:]
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	conf.Consumer.Offsets.AutoCommit.Enable = false
	conf.Consumer.Group.Session.Timeout = 6 * time.Second
	conf.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	conf.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{map[string]func() sarama.BalanceStrategy{
		"range": sarama.NewBalanceStrategyRange, "roundrobin": sarama.NewBalanceStrategyRoundRobin,
		"sticky": sarama.NewBalanceStrategySticky,
	}[args[3]]()}
	if len(args) > 4 {
		conf.Consumer.Group.InstanceId = args[4]
	}
	group, err := sarama.NewConsumerGroup(strings.Split(args[0], ","), args[1], conf)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{args[2]}, handler{args[2]}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	group.Close()
}
