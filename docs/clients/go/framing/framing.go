// Package framing reads and writes Undertone's values: Avro single-object encoding, or with SCHEMA_REGISTRY_URL the
// registry's framing.
package framing

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// Framing is for one record type. It is not safe for concurrent use.
type Framing struct {
	text     string
	schema   *avro.Schema
	released map[[8]byte]*avro.Schema
	registry *sr.Client
	written  map[int]*avro.Schema
	ids      map[string]int
}

// New reads the schemas of a record from the folder `schemas/avro`; name is the record's file in it, such as `risk_alert`.
func New(schemas, name string) (*Framing, error) {
	text, err := os.ReadFile(filepath.Join(schemas, name+".avsc"))
	if err != nil {
		return nil, err
	}
	schema, err := avro.Parse(string(text))
	if err != nil {
		return nil, err
	}
	f := &Framing{string(text), schema, map[[8]byte]*avro.Schema{}, nil, map[int]*avro.Schema{}, map[string]int{}}
	if url := os.Getenv("SCHEMA_REGISTRY_URL"); url != "" {
		if f.registry, err = sr.NewClient(sr.URLs(url)); err != nil {
			return nil, err
		}
	}
	paths, err := filepath.Glob(filepath.Join(schemas, "history", name+".*.avsc"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		writer, err := avro.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// The fingerprint lies in the frame with its lowest byte first.
		var frame [8]byte
		sum := avro.NewRabin()
		sum.Write(writer.Canonical())
		binary.LittleEndian.PutUint64(frame[:], sum.Sum64())
		if f.released[frame], err = avro.Resolve(writer, schema); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return f, nil
}

// Encode gives the value of a record on a topic.
func (f *Framing) Encode(ctx context.Context, record any, topic string) ([]byte, error) {
	if f.registry == nil {
		return f.schema.AppendSingleObject(nil, record)
	}
	subject := topic + "-value"
	if _, known := f.ids[subject]; !known {
		created, err := f.registry.CreateSchema(ctx, subject, sr.Schema{Schema: f.text})
		if err != nil {
			return nil, err
		}
		f.ids[subject] = created.ID
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(f.ids[subject]))
	return f.schema.AppendEncode(frame, record)
}

// Decode reads the record in a value of either framing, as the newest schema has it.
func (f *Framing) Decode(ctx context.Context, value []byte, record any) error {
	if len(value) < 5 {
		return fmt.Errorf("a value of %d bytes is no record", len(value))
	}
	if value[0] == 0 {
		schema, err := f.byID(ctx, int(binary.BigEndian.Uint32(value[1:5])))
		if err != nil {
			return err
		}
		_, err = schema.Decode(value[5:], record, avro.SkipUnknown())
		return err
	}
	frame, body, err := avro.SingleObjectFingerprint(value)
	if err != nil {
		return err
	}
	schema, known := f.released[frame]
	if !known {
		return fmt.Errorf("fingerprint %x is of no version in schemas/avro/history", frame)
	}
	_, err = schema.Decode(body, record, avro.SkipUnknown())
	return err
}

func (f *Framing) byID(ctx context.Context, id int) (*avro.Schema, error) {
	if f.written[id] == nil {
		if f.registry == nil {
			return nil, fmt.Errorf("a value with a registry's framing: set SCHEMA_REGISTRY_URL")
		}
		found, err := f.registry.SchemaByID(ctx, id)
		if err != nil {
			return nil, err
		}
		writer, err := avro.Parse(found.Schema)
		if err != nil {
			return nil, err
		}
		if f.written[id], err = avro.Resolve(writer, f.schema); err != nil {
			return nil, err
		}
	}
	return f.written[id], nil
}
