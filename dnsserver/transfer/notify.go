package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// The waits of a NOTIFY without an answer. RFC 1996 §3.6 asks for "a reasonable
// amount of retries", and doubling; 60 s and 5 retries are its example. Ours begin
// shorter, since a lost packet is what is usual.
const (
	firstWait = time.Second
	longWait  = time.Minute
	attempts  = 10 // over about four minutes; then the secondary's refresh must do
)

// notifier tells secondaries that a zone has changed.
type notifier struct {
	send func(ctx context.Context, to steering.Peer, packet []byte) ([]byte, error)
	log  *slog.Logger
	keys *atomic.Pointer[map[string]*Key]

	mu      sync.Mutex
	running map[steering.Peer]map[string]context.CancelFunc // by zone
	done    sync.WaitGroup
}

// tell begins to notify every secondary of a zone; what was being told of an older
// version ends.
func (n *notifier) tell(ctx context.Context, c *steering.Copies, soa *dns.SOA) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, peer := range c.Notify {
		zones := n.running[peer]
		if zones == nil {
			zones = make(map[string]context.CancelFunc)
			n.running[peer] = zones
		}
		if stop := zones[soa.Hdr.Name]; stop != nil {
			stop()
		}
		mine, stop := context.WithCancel(ctx)
		zones[soa.Hdr.Name] = stop
		n.done.Go(func() {
			defer stop()
			n.notify(mine, peer, soa)
		})
	}
}

func (n *notifier) wait() { n.done.Wait() }

// notify sends until there is an answer.
func (n *notifier) notify(ctx context.Context, peer steering.Peer, soa *dns.SOA) {
	wait := firstWait
	var err error
	for range attempts {
		if err = n.once(ctx, peer, soa); err == nil {
			n.log.Info("secondary notified", "zone", soa.Hdr.Name, "serial", soa.Serial, "secondary", peer.Address)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, longWait)
	}
	n.log.Warn("transfer: a secondary does not answer NOTIFY: it takes up changes by its refresh timer only",
		"zone", soa.Hdr.Name, "secondary", peer.Address, "err", err)
}

// once sends one NOTIFY and reads its answer. Any answer means that it arrived: a
// secondary that refuses it will not think better of it (RFC 1996 §4.8 knows
// NOTIMP), but the operator should know.
func (n *notifier) once(ctx context.Context, peer steering.Peer, soa *dns.SOA) error {
	m := new(dns.Msg).SetNotify(soa.Hdr.Name)
	m.Answer = []dns.RR{soa} // RFC 1996 §3.7: "unsecure hint"
	var sig *signer
	if peer.Key != "" {
		key := (*n.keys.Load())[peer.Key]
		if key == nil {
			return fmt.Errorf("TSIG key %s is not known", peer.Key)
		}
		sig = &signer{key: key}
	}
	packet, err := sig.pack(m)
	if err != nil {
		return err
	}
	if sig != nil {
		sig.timers = false // the answer is signed as a first message
	}
	octets, err := n.send(ctx, peer, packet)
	if err != nil {
		return err
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(octets); err != nil {
		return err
	}
	if reply.Id != m.Id || !reply.Response || reply.Opcode != dns.OpcodeNotify {
		return fmt.Errorf("an answer to something else")
	}
	if reply.Rcode != dns.RcodeSuccess {
		n.log.Warn("transfer: a secondary does not take NOTIFY: allow this node's address, and the key if one is configured, there",
			"zone", soa.Hdr.Name, "secondary", peer.Address, "rcode", dns.RcodeToString[reply.Rcode])
		return nil
	}
	return sig.verifyAnswer(octets, reply)
}

// answerWait is how long one NOTIFY waits for its answer.
const answerWait = 3 * time.Second

func sendUDP(ctx context.Context, to steering.Peer, packet []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "udp", to.Address.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	buffer := make([]byte, dns.MaxMsgSize)
	for {
		length, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if length >= 2 && buffer[0] == packet[0] && buffer[1] == packet[1] {
			return buffer[:length], nil
		}
	}
}
