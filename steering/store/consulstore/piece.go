package consulstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	consul "github.com/hashicorp/consul/api"
	"github.com/klauspost/compress/zstd"
)

const (
	// pieceSize keeps a value under Consul's limit (kv_max_value_size, 512 KiB).
	pieceSize = 480 << 10
	// batchSize and batchKeys keep a transaction, whose values travel as base64,
	// under Consul's limits (txn_max_req_len, 512 KiB; 64 operations in old servers).
	batchSize = 320 << 10
	batchKeys = 60
	// parallel is how many pieces are fetched at once.
	parallel = 16
	// largest bounds what a piece may unpack to, whoever wrote it.
	largest = 1 << 30
)

// piece is a value that is named by its content.
type piece struct {
	name string
	data []byte
}

// blob names the pieces of something large, in their order.
type blob []string

type pieceSet map[string]struct{}

func (p pieceSet) add(names ...string) {
	for _, n := range names {
		p[n] = struct{}{}
	}
}

func (p pieceSet) has(name string) bool { _, ok := p[name]; return ok }

// packer compresses. It has megabytes of its own after the first data that is large, so
// who has much to pack makes one for all of it.
type packer struct{ encoder *zstd.Encoder }

func newPacker() packer {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("consulstore: zstd: " + err.Error()) // its options are constants
	}
	return packer{encoder}
}

// pack compresses data and cuts it into pieces.
func pack(data []byte) (blob, []piece) { return newPacker().pack(data) }

func (p packer) pack(data []byte) (blob, []piece) {
	packed := p.encoder.EncodeAll(data, nil)
	var names blob
	var pieces []piece
	for first := true; first || len(packed) > 0; first = false {
		n := min(len(packed), pieceSize)
		p := piece{nameOf(packed[:n]), packed[:n]}
		names, pieces, packed = append(names, p.name), append(pieces, p), packed[n:]
	}
	return names, pieces
}

// unpack joins pieces and decompresses them.
func unpack(pieces [][]byte) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(largest))
	if err != nil {
		panic("consulstore: zstd: " + err.Error())
	}
	defer decoder.Close()
	return decoder.DecodeAll(bytes.Join(pieces, nil), nil)
}

func nameOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// putPieces stores pieces under a folder. That one is there already does no harm.
func (s *Store) putPieces(ctx context.Context, folder string, pieces []piece) error {
	var batch []*consul.KVTxnOp
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := s.commit(ctx, batch...)
		batch, size = nil, 0
		return err
	}
	for _, p := range pieces {
		if len(p.data) > batchSize {
			if err := s.putLarge(ctx, folder+p.name, p.data); err != nil {
				return err
			}
			continue
		}
		if size+len(p.data) > batchSize || len(batch) == batchKeys {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, size = append(batch, &consul.KVTxnOp{Verb: consul.KVSet, Key: folder + p.name, Value: p.data}), size+len(p.data)
	}
	return flush()
}

func (s *Store) putLarge(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.WriteOptions
	if _, err := s.kv.Put(&consul.KVPair{Key: s.prefix + key, Value: data}, o.WithContext(ctx)); err != nil {
		return fmt.Errorf("write %s to consul: %w", key, err)
	}
	return nil
}

// errGone tells that a piece is not stored: it was removed since its head was
// read, or Consul has lost it.
type errGone struct{ key string }

func (e errGone) Error() string { return "consul has lost " + e.key }

// getPieces reads pieces, several at once, and checks each against its name.
func (s *Store) getPieces(ctx context.Context, folder string, names []string) (map[string][]byte, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan string)
	got := make(map[string][]byte, len(names))
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range min(parallel, len(names)) {
		readers.Go(func() {
			for name := range todo {
				data, err := s.getPiece(ctx, folder, name)
				if err != nil {
					stop(err)
					continue
				}
				mu.Lock()
				got[name] = data
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		todo <- name
	}
	close(todo)
	readers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return got, nil
}

func (s *Store) getPiece(ctx context.Context, folder, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pair, err := s.getFixed(ctx, folder+name)
	switch {
	case err != nil:
		return nil, err
	case pair == nil:
		return nil, errGone{folder + name}
	case nameOf(pair.Value) != name:
		return nil, damaged("%s does not hold what its name says: delete the key", pair.Key)
	}
	return pair.Value, nil
}
