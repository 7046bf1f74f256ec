// Publishes one memo: SCHEMAS USER AUDIO_URI RECORDED_AT, the last in RFC 3339. Prints the memo's id.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"time"

	"clients/framing"

	"github.com/twmb/franz-go/pkg/kgo"
)

type memo struct {
	MemoID     string    `avro:"memo_id"`
	UserID     string    `avro:"user_id"`
	RecordedAt time.Time `avro:"recorded_at"`
	UploadedAt time.Time `avro:"uploaded_at"`
	AudioURI   string    `avro:"audio_uri"`
	SHA256     *string   `avro:"sha256"`
	Language   *string   `avro:"language"`
}

func main() {
	if err := publish(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func publish(ctx context.Context, arguments []string) error {
	schemas, user, uri := arguments[0], arguments[1], arguments[2]
	recorded, err := time.Parse(time.RFC3339, arguments[3])
	if err != nil {
		return err
	}
	frames, err := framing.New(schemas, "memo_uploaded")
	if err != nil {
		return err
	}
	// Keep the id: a memo that is sent again has the same one. The user is a pseudonym.
	one := memo{MemoID: rand.Text(), UserID: user, RecordedAt: recorded, UploadedAt: time.Now(), AudioURI: uri}
	value, err := frames.Encode(ctx, &one, "memos.uploaded")
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("KAFKA_BOOTSTRAP")))
	if err != nil {
		return err
	}
	defer client.Close()
	record := &kgo.Record{Topic: "memos.uploaded", Key: []byte(user), Value: value} // the key is the pseudonym
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return err
	}
	fmt.Println(one.MemoID)
	return nil
}
