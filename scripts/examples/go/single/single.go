// Package single is Avro's single-object encoding: C3 01, the schema's fingerprint (CRC-64-AVRO, little-endian), the record.
package single

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"

	"github.com/hamba/avro/v2"
)

// Schema is one of the schemas in the folder SCHEMAS, or /usr/share/freshet/schemas.
type Schema struct {
	avro avro.Schema
	head []byte
}

// Load reads a file of that folder.
func Load(file string) (*Schema, error) {
	folder := os.Getenv("SCHEMAS")
	if folder == "" {
		folder = "/usr/share/freshet/schemas"
	}
	schema, err := avro.ParseFiles(folder + "/" + file)
	if err != nil {
		return nil, err
	}
	// The Parsing Canonical Form has no logical types, which this library keeps.
	canonical := strings.ReplaceAll(schema.String(), `{"type":"long","logicalType":"timestamp-millis"}`, `"long"`)
	return &Schema{schema, binary.LittleEndian.AppendUint64([]byte{0xc3, 1}, fingerprint(canonical))}, nil
}

// CRC-64-AVRO, as the specification of Avro has it.
func fingerprint(canonical string) uint64 {
	empty, fp := uint64(0xc15d213aa4d7a795), uint64(0xc15d213aa4d7a795)
	for _, letter := range []byte(canonical) {
		row := (fp ^ uint64(letter)) & 0xff
		for bit := 0; bit < 8; bit++ {
			row = row>>1 ^ empty&-(row&1)
		}
		fp = fp>>8 ^ row
	}
	return fp
}

// Encode gives the value of a Kafka record.
func (s *Schema) Encode(record any) ([]byte, error) {
	body, err := avro.Marshal(s.avro, record)
	return append(append([]byte{}, s.head...), body...), err
}

// Wrote tells whether a value was written with this schema.
func (s *Schema) Wrote(value []byte) bool { return bytes.HasPrefix(value, s.head) }

// Decode reads a value that it wrote.
func (s *Schema) Decode(value []byte, record any) error {
	return avro.Unmarshal(s.avro, value[len(s.head):], record)
}
