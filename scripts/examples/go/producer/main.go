// producer BOOTSTRAP [EVENTS ITEMS]: announces three items and lets two users buy. SCHEMAS: folder of *.avsc.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"freshet/examples/single"
	"github.com/twmb/franz-go/pkg/kgo"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	events, items := "events", "items"
	if len(os.Args) == 4 {
		events, items = os.Args[2], os.Args[3]
	}
	item, err := single.Load("Item.avsc")
	check(err)
	purchase, err := single.Load("Purchase.avsc")
	check(err)
	// Its partitioner for keys is that of Java clients: all producers must put a user's events into the same partition.
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]))
	check(err)
	defer client.Close()
	var records []*kgo.Record
	for _, id := range []string{"tea", "cup", "pot"} {
		value, err := item.Encode(map[string]any{"item_id": id, "title": "A " + id, "text": "", "categories": []string{},
			"available": true, "expires_at": nil, "vector": nil, "created_at": nil, "attributes": map[string]string{}})
		check(err)
		records = append(records, &kgo.Record{Topic: items, Key: []byte(id), Value: value})
	}
	for n, bought := range [][2]string{{"go-1", "tea"}, {"go-1", "pot"}, {"go-2", "tea"}} {
		// A retry has the same event_id: it is learned once.
		now := time.Now()
		value, err := purchase.Encode(map[string]any{"event_id": fmt.Sprintf("go-%d-%d", now.UnixNano(), n),
			"user_id": bought[0], "item_id": bought[1], "occurred_at": now, "quantity": 1, "price": 2.5})
		check(err)
		records = append(records, &kgo.Record{Topic: events, Key: []byte(bought[0]), Value: value})
	}
	check(client.ProduceSync(context.Background(), records...).FirstErr())
}
