// The common round of tests/interop for franz-go: BOOTSTRAP PREFIX CODECS COUNT BASE_TIME.
// See test_clients.py for what is expected on standard output.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 3

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return v
}

func say(v map[string]any) {
	fmt.Println(string(must(json.Marshal(v))))
}

func round(ctx context.Context, bootstrap, topic, codec string, count int, base int64) {
	producer := must(kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20*time.Millisecond)))
	admin := kadm.NewClient(producer)
	say(map[string]any{"brokers": len(must(admin.ListBrokers(ctx)))})
	created := must(admin.CreateTopic(ctx, partitions, 3, nil, topic))
	must(created, created.Err)
	for i := 0; i < count; i++ {
		i := i
		producer.Produce(ctx, &kgo.Record{
			Topic: topic, Partition: int32(i % partitions), Timestamp: time.UnixMilli(base + int64(i)*10),
			Key: []byte("k" + strconv.Itoa(i)), Value: []byte(fmt.Sprintf("value-%d-%s", i, strings.Repeat("x", 80))),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(strconv.Itoa(i))}},
		}, func(r *kgo.Record, err error) {
			must(r, err)
			if r.Offset != int64(i/partitions) {
				must(r, fmt.Errorf("record %d got offset %d", i, r.Offset))
			}
		})
	}
	must(0, producer.Flush(ctx))

	from := map[int32]kgo.Offset{}
	for p := int32(0); p < partitions; p++ {
		from[p] = kgo.NewOffset().AtStart()
	}
	consumer := must(kgo.NewClient(kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})))
	for n := 0; n < count; {
		fetches := consumer.PollFetches(ctx)
		must(0, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			say(map[string]any{"topic": topic, "p": r.Partition, "o": r.Offset, "t": r.Timestamp.UnixMilli(),
				"k": string(r.Key), "v": string(r.Value), "h": string(r.Headers[0].Value)})
		})
	}
	at := must(admin.ListOffsetsAfterMilli(ctx, base+305, topic))
	begin := must(admin.ListStartOffsets(ctx, topic))
	end := must(admin.ListEndOffsets(ctx, topic))
	for p := int32(0); p < partitions; p++ {
		a, _ := at.Lookup(topic, p)
		b, _ := begin.Lookup(topic, p)
		e, _ := end.Lookup(topic, p)
		say(map[string]any{"topic": topic, "p": p, "at": a.Offset, "begin": b.Offset, "end": e.Offset})
	}
	consumer.Close()
	producer.Close()
}

func main() {
	switch os.Args[1] {
	case "member":
		member(os.Args[2:])
		return
	case "reader":
		reader(os.Args[2:])
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	count, base := must(strconv.Atoi(os.Args[4])), must(strconv.ParseInt(os.Args[5], 10, 64))
	for _, codec := range strings.Split(os.Args[3], ",") {
		round(ctx, strings.Split(os.Args[1], ",")[0], os.Args[2]+"-"+codec, codec, count, base)
	}
}
