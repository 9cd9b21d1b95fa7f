// reader BOOTSTRAP [RECOMMENDATIONS]: keeps the newest list of each user, prints changes. SCHEMAS: folder of *.avsc.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"freshet/examples/single"
	"github.com/twmb/franz-go/pkg/kgo"
)

type list struct {
	Partition int   `avro:"version_partition"`
	Version   int64 `avro:"version_offset"`
	Items     []struct {
		ID string `avro:"item_id"`
	} `avro:"items"`
}

func main() {
	topic := "recommendations"
	if len(os.Args) > 2 {
		topic = os.Args[2]
	}
	schema, err := single.Load("RecommendationList.avsc")
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())) // without a group: the topic is the table, and is read whole
	if err != nil {
		log.Fatal(err)
	}
	held, lines := map[string]list{}, map[string]string{}
	for {
		client.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			user := string(r.Key)
			var got list
			if r.Value == nil { // the user was erased
				delete(held, user)
				delete(lines, user)
				fmt.Printf("%s: erased\n", user)
			} else if !schema.Wrote(r.Value) || schema.Decode(r.Value, &got) != nil {
				log.Printf("%s: written with another schema", user)
			} else if last, known := held[user]; !known || got.Partition != last.Partition || got.Version >= last.Version { // offsets of two partitions cannot be compared
				line := user + ":"
				for _, item := range got.Items {
					line += " " + item.ID
				}
				if line != lines[user] {
					fmt.Println(line)
				}
				held[user], lines[user] = got, line
			}
		})
	}
}
