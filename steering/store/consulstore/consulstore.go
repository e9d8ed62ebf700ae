package consulstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

// Options says where Consul is and how it is spoken to. What is empty is taken
// from Consul's own environment variables (CONSUL_HTTP_ADDR and its like), and
// then from its defaults.
type Options struct {
	Address    string        // host:port, or unix:///path
	Scheme     string        // http or https
	Token      func() string // ACL token, asked for at each request; nil = as the environment says
	Datacenter string
	TLS        *TLS   // nil = as the environment says
	Prefix     string // of every key, default "fairway"; a deployment has its own
	// Writer allows the Put and Delete methods; the default is to read.
	Writer bool
	// Doors leaves out of states what only those who decide read: the books of what
	// providers carried.
	Doors bool
	// KeepRevisions is how many of the newest revisions stay, default and least 10.
	KeepRevisions int
	// Warn is told of what goes on without: a Consul that does not answer, a head
	// that cannot be read. It may be called from several goroutines; nil tells nobody.
	Warn func(error)
}

// TLS names PEM files; an empty name is none.
type TLS struct{ CAFile, CertFile, KeyFile string }

// Store is a store.Store in Consul.
type Store struct {
	client *consul.Client
	kv     *consul.KV
	txn    *consul.Txn
	at     string // address of Consul
	prefix string // with a slash at the end
	writer bool
	doors  bool
	fence  atomic.Pointer[fence] // writes count only while it stands; nil = there is no election

	leader   atomic.Pointer[Leader] // as far as heard; nil = nobody leads
	lastTerm atomic.Uint64          // the highest that was heard of
	reach    atomic.Pointer[reach]  // of the watch
	keep     int
	warn     func(error)

	leaderless atomic.Pointer[time.Time] // since when nobody leads the fleet, as far as heard; nil = somebody does
	headless   atomic.Bool               // Consul's servers had no leader when they last answered the watch

	done      chan struct{} // closed by Close
	closeOnce sync.Once

	writing sync.Mutex // one Put of a state at a time
	author  author     // guarded by writing
	garbage garbage    // guarded by writing

	caching sync.Mutex
	reader  reader // guarded by caching

	hearing sync.Mutex
	heads   map[string]*consul.KVPair // as a watch brought them last, by key; nil = none is watching, or Consul is away; guarded by hearing
	own     map[string]uint64         // Consul's index of heads as this store wrote them; guarded by hearing
}

var _ store.Store = (*Store)(nil)

const (
	keepRevisions = 10
	// patience is how long one request to Consul may take. Its servers need up to
	// 10 s to say that they have no leader, and by then a stale read has answered.
	patience = 3 * time.Second
	// form is the form of every value that this release writes and reads.
	form = 1
)

// Open prepares the store. It does not ask Consul anything: a node must be able
// to start while Consul is away.
func Open(o Options) (*Store, error) {
	config := consul.DefaultConfig()
	if o.Address != "" {
		config.Address = o.Address
	}
	if o.Scheme != "" {
		config.Scheme = o.Scheme
	}
	if o.Datacenter != "" {
		config.Datacenter = o.Datacenter
	}
	if o.TLS != nil {
		config.TLSConfig, config.Scheme = consul.TLSConfig{CAFile: o.TLS.CAFile, CertFile: o.TLS.CertFile, KeyFile: o.TLS.KeyFile}, "https"
	}
	client, err := newClient(config, o.Token)
	if err != nil {
		return nil, fmt.Errorf("consul at %s: %w", config.Address, err)
	}
	s := &Store{
		client: client, kv: client.KV(), txn: client.Txn(), at: config.Address, prefix: strings.Trim(o.Prefix, "/") + "/", writer: o.Writer, doors: o.Doors,
		keep: max(o.KeepRevisions, keepRevisions), warn: o.Warn, done: make(chan struct{}), own: make(map[string]uint64),
	}
	if s.prefix == "/" {
		s.prefix = "fairway/"
	}
	if s.warn == nil {
		s.warn = func(error) {}
	}
	return s, nil
}

// Address is that of the Consul that is asked.
func (s *Store) Address() string { return s.at }

// newClient makes a client that asks for its token at each request.
func newClient(config *consul.Config, token func() string) (*consul.Client, error) {
	if token == nil || strings.HasPrefix(config.Address, "unix://") {
		if token != nil {
			config.Token = token()
		}
		return consul.NewClient(config)
	}
	var err error
	if config.HttpClient, err = consul.NewHttpClient(config.Transport, config.TLSConfig); err != nil {
		return nil, err
	}
	config.HttpClient.Transport = tokens{config.HttpClient.Transport, token}
	return consul.NewClient(config)
}

// tokens puts the token of the moment into requests.
type tokens struct {
	next  http.RoundTripper
	token func() string
}

func (t tokens) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Consul-Token", t.token())
	return t.next.RoundTrip(r)
}

// Close ends every Watch; later calls return ErrClosed. Nothing is held in
// Consul.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { close(s.done) })
	return nil
}

// readable returns why nothing can be read now, if so.
func (s *Store) readable(ctx context.Context) error {
	select {
	case <-s.done:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// writable returns why nothing can be written now, if so.
func (s *Store) writable(ctx context.Context) error {
	if err := s.readable(ctx); err != nil {
		return err
	}
	if !s.writer {
		return fmt.Errorf("write to consul: %w", store.ErrReadOnly)
	}
	if f := s.fence.Load(); f != nil && f.session == "" {
		return fmt.Errorf("write to consul: %w", store.ErrDeposed)
	}
	return nil
}

// get reads a key, nil when there is none: as Consul's leader has it, or, when
// there is no leader, as any server has it.
func (s *Store) get(ctx context.Context, key string) (*consul.KVPair, error) {
	read := func(o consul.QueryOptions) (*consul.KVPair, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		pair, _, err := s.kv.Get(s.prefix+key, o.WithContext(ctx))
		return pair, err
	}
	pair, err := read(consul.QueryOptions{})
	if err != nil && ctx.Err() == nil {
		pair, err = read(consul.QueryOptions{AllowStale: true})
	}
	if err != nil {
		return nil, fmt.Errorf("read %s%s from consul: %w", s.prefix, key, err)
	}
	return pair, nil
}

// getFixed reads a key whose value never changes: from any server, and from the
// leader where that one does not have it yet.
func (s *Store) getFixed(ctx context.Context, key string) (*consul.KVPair, error) {
	near, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := consul.QueryOptions{AllowStale: true}
	pair, _, err := s.kv.Get(s.prefix+key, o.WithContext(near))
	if err == nil && pair != nil {
		return pair, nil
	}
	return s.get(ctx, key)
}

// sound leaves out what no Consul answers to whoever asks for a folder. What stands
// between may answer anything, and must not bring a door down.
func sound(pairs consul.KVPairs, folder string) consul.KVPairs {
	return slices.DeleteFunc(pairs, func(p *consul.KVPair) bool { return p == nil || !strings.HasPrefix(p.Key, folder) })
}

// commit writes several keys at once or none; false when one was not as a
// check-and-set wanted it.
func (s *Store) commit(ctx context.Context, ops ...*consul.KVTxnOp) (bool, error) {
	index, err := s.commitAt(ctx, ops...)
	return index > 0, err
}

// commitAt is commit; it returns Consul's index of what was written, 0 where
// nothing was.
func (s *Store) commitAt(ctx context.Context, ops ...*consul.KVTxnOp) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	all := make(consul.TxnOps, 0, len(ops)+1)
	if f := s.fence.Load(); f != nil {
		if f.session == "" {
			return 0, fmt.Errorf("write %s to consul: %w", ops[0].Key, store.ErrDeposed)
		}
		all = append(all, &consul.TxnOp{KV: &consul.KVTxnOp{Verb: consul.KVCheckSession, Key: s.prefix + leaderKey, Session: f.session}})
	}
	for _, op := range ops {
		op.Key = s.prefix + op.Key
		all = append(all, &consul.TxnOp{KV: op})
	}
	done, answer, _, err := s.txn.Txn(all, o.WithContext(ctx))
	switch {
	case err != nil:
		return 0, fmt.Errorf("write %s to consul: %w", ops[0].Key, err)
	case done:
		return s.wrote(answer.Results), nil
	}
	for _, e := range answer.Errors {
		if strings.Contains(e.What, "failed to check session") || strings.Contains(e.What, "failed session check") { // the fence fell: the lock is lost, or another's
			return 0, fmt.Errorf("write %s to consul: %w", ops[0].Key, store.ErrDeposed)
		}
		if !strings.Contains(e.What, "stale") && !strings.Contains(e.What, "exist") && !strings.Contains(e.What, "modify index") { // Consul's words for a failed check-and-set
			return 0, fmt.Errorf("write %s to consul: %s", ops[0].Key, e.What)
		}
	}
	return 0, nil
}

// wrote notes what a transaction wrote, and returns its index: who wrote a head sees
// it, whatever a watch has brought.
func (s *Store) wrote(results consul.TxnResults) (index uint64) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	for _, r := range results {
		if r.KV == nil {
			continue
		}
		index = max(index, r.KV.ModifyIndex)
		if strings.HasPrefix(r.KV.Key, s.prefix+"heads/") {
			s.own[r.KV.Key] = r.KV.ModifyIndex
		}
	}
	return max(index, 1) // of deletions there is none
}

// head is the value under one of the keys of PREFIX/heads/.
type head[T any] struct {
	Form  int    `json:"form"`
	Value T      `json:"value"`
	index uint64 // of Consul, for check-and-set; 0 = the key does not exist
}

// readHead reads a head; one that was never written is empty. Where this store
// follows others it is the one that the watch brought, which asks Consul nothing.
func readHead[T any](ctx context.Context, s *Store, name string) (head[T], error) {
	if pair, known := s.watched(s.prefix + "heads/" + name); known {
		return headOf[T](pair)
	}
	return readHeadNow[T](ctx, s, name)
}

// readHeadNow reads a head as Consul's leader has it.
func readHeadNow[T any](ctx context.Context, s *Store, name string) (head[T], error) {
	return readHeadAt[T](ctx, s, "heads/"+name)
}

// watched is a head as a watch brought it, unless this store has written it since,
// or leads: who leads must see what the leader before it wrote last.
func (s *Store) watched(key string) (*consul.KVPair, bool) {
	if f := s.fence.Load(); f != nil && f.session != "" {
		return nil, false
	}
	s.hearing.Lock()
	defer s.hearing.Unlock()
	pair := s.heads[key]
	return pair, pair != nil && pair.ModifyIndex >= s.own[key]
}

func readHeadAt[T any](ctx context.Context, s *Store, key string) (head[T], error) {
	pair, err := s.get(ctx, key)
	if err != nil {
		return head[T]{}, err
	}
	return headOf[T](pair)
}

func headOf[T any](pair *consul.KVPair) (head[T], error) {
	var h head[T]
	if pair == nil {
		return h, nil
	}
	h.index = pair.ModifyIndex
	if err := json.Unmarshal(pair.Value, &h); err != nil {
		return h, fmt.Errorf("%s is damaged: %w; delete the key to begin without", pair.Key, err)
	}
	if h.Form != form {
		return h, fmt.Errorf("%s has form %d, this release reads form %d: upgrade this node", pair.Key, h.Form, form)
	}
	return h, nil
}

// put is the operation that replaces the head by another value, if nobody else
// did since it was read.
func (h head[T]) put(name string, value T) (*consul.KVTxnOp, error) {
	return h.putAt("heads/"+name, value)
}

func (h head[T]) putAt(key string, value T) (*consul.KVTxnOp, error) {
	data, err := json.Marshal(head[T]{Form: form, Value: value})
	return &consul.KVTxnOp{Verb: consul.KVCAS, Key: key, Value: data, Index: h.index}, err
}

// change replaces a head by what f makes of it, again from the start when
// somebody else was faster.
func change[T any](ctx context.Context, s *Store, name string, f func(T) (T, error)) error {
	return changeAt(ctx, s, "heads/"+name, f)
}

func changeAt[T any](ctx context.Context, s *Store, key string, f func(T) (T, error)) error {
	for {
		h, err := readHeadAt[T](ctx, s, key)
		if err != nil {
			return err
		}
		next, err := f(h.Value)
		if err != nil {
			return err
		}
		op, err := h.putAt(key, next)
		if err != nil {
			return err
		}
		if done, err := s.commit(ctx, op); done || err != nil {
			return err
		}
	}
}

// damaged is an error for something that must not be as it is.
func damaged(format string, args ...any) error {
	return errors.New("consul: " + fmt.Sprintf(format, args...))
}
