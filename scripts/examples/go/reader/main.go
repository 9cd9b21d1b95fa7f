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
	Version int64 `avro:"version_offset"`
	Items   []struct {
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
	// Without a group: the topic is the table, and is read from its beginning.
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		log.Fatal(err)
	}
	versions, lines := map[string]int64{}, map[string]string{}
	for {
		client.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			user := string(r.Key)
			var got list
			if r.Value == nil { // the user was erased
				delete(versions, user)
				delete(lines, user)
				fmt.Printf("%s: erased\n", user)
			} else if !schema.Wrote(r.Value) || schema.Decode(r.Value, &got) != nil {
				log.Printf("%s: written with another schema", user)
			} else if version, known := versions[user]; !known || got.Version >= version { // else an older list, whenever it arrives
				line := user + ":"
				for _, item := range got.Items {
					line += " " + item.ID
				}
				if line != lines[user] {
					fmt.Println(line)
				}
				versions[user], lines[user] = got.Version, line
			}
		})
	}
}
