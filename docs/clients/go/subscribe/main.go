// Prints every alert once, as JSON lines: SCHEMAS GROUP. Runs until it is ended.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"clients/framing"

	"github.com/twmb/franz-go/pkg/kgo"
)

type alert struct {
	AlertID  string    `avro:"alert_id" json:"alert_id"`
	DedupKey string    `avro:"dedup_key" json:"dedup_key"`
	UserID   string    `avro:"user_id" json:"user_id"`
	State    string    `avro:"state" json:"state"`
	Kind     string    `avro:"kind" json:"kind"`
	Severity string    `avro:"severity" json:"severity"`
	Since    time.Time `avro:"since" json:"since"`
	At       time.Time `avro:"at" json:"at"`
}

func main() {
	if err := follow(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func follow(ctx context.Context, schemas, group string) error {
	frames, err := framing.New(schemas, "risk_alert")
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP")),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics("risk.alerts"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	out, seen := json.NewEncoder(os.Stdout), map[string]bool{} // use a database if it must survive a restart
	for {
		fetches := client.PollFetches(ctx)
		for iter := fetches.RecordIter(); !iter.Done(); {
			var one alert
			if err := frames.Decode(ctx, iter.Next().Value, &one); err != nil {
				return err
			}
			if !seen[one.AlertID] {
				if err := out.Encode(one); err != nil { // notify your recipients
					return err
				}
				seen[one.AlertID] = true
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil { // only after the notifications
			return err
		}
	}
}
