package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reads all partitions from the beginning until standard input ends: reader BOOTSTRAP TOPIC PARTITIONS. A line for each
// record: PARTITION OFFSET VALUE. Whatever it is told beyond records ends it: an offset out of range, records that it was
// shown and that are gone. What can be asked again is asked again by the client itself, and said on standard error.
func reader(args []string) {
	from := map[int32]kgo.Offset{}
	for p := 0; p < must(strconv.Atoi(args[2])); p++ {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	client := must(kgo.NewClient(
		kgo.SeedBrokers(strings.Split(args[0], ",")...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{args[1]: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, now))))
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	out := bufio.NewWriter(os.Stdout)
	for {
		fetches := client.PollFetches(context.Background())
		fetches.EachRecord(func(r *kgo.Record) {
			fmt.Fprintln(out, r.Partition, r.Offset, string(r.Value))
		})
		must(0, out.Flush())
		fetches.EachError(func(_ string, p int32, err error) {
			must(p, fmt.Errorf("partition %d: %w", p, err))
		})
	}
}

func now() string {
	return time.Now().Format("15:04:05.000 ")
}
