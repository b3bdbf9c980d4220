package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
)

// GroupOptions configure a Group.
type GroupOptions struct {
	Client *Client
	ID     string
	Topics []Topic
	// Session is how long a member that is not heard of is waited for; 0 is 10 s.
	Session time.Duration
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Group is a consumer group in which one member holds all partitions and the others stand by. The holder
// stays one when others come and go, so its state stays where it is; when it leaves or falls silent, one of
// the others takes over.
type Group struct {
	o      GroupOptions
	holder holder
	group  *kafka.ConsumerGroup
	// cut ends the group's connections: a member that is waiting to join cannot be told to stop.
	cut context.CancelFunc

	mu         sync.Mutex
	generation *kafka.Generation // nil between two

	rebalances prometheus.Counter
	held       prometheus.Gauge
}

// NewGroup joins a group.
func NewGroup(o GroupOptions) (*Group, error) {
	if o.Session == 0 {
		o.Session = 10 * time.Second
	}
	g := &Group{o: o,
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{Name: "vw_kafka_rebalances_total", Help: "Generations of the consumer group that this member has seen."}),
		held:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "vw_kafka_holder", Help: "1 while this process holds the partitions, 0 while it stands by."}),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(g.rebalances, g.held)
	}
	var names []string
	for _, t := range o.Topics {
		names = append(names, t.Name)
	}
	life, cut := context.WithCancel(context.Background())
	g.cut = cut
	dialer := *o.Client.dialer
	dialer.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := life.Err(); err != nil {
			return nil, err
		}
		conn, err := o.Client.dialer.DialFunc(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return mortal{conn, context.AfterFunc(life, func() { _ = conn.Close() })}, nil
	}
	var err error
	g.group, err = kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: o.ID, Brokers: o.Client.o.Brokers, Dialer: &dialer, Topics: names, GroupBalancers: []kafka.GroupBalancer{&g.holder},
		HeartbeatInterval: o.Session / 5, SessionTimeout: o.Session, RebalanceTimeout: o.Session, JoinGroupBackoff: 500 * time.Millisecond,
		StartOffset: kafka.FirstOffset, Timeout: o.Client.o.Timeout,
	})
	if err != nil {
		cut()
		return nil, o.Client.explain("kafka.NewGroup", err)
	}
	return g, nil
}

// mortal is a connection that ends with the group.
type mortal struct {
	net.Conn
	forget func() bool
}

func (m mortal) Close() error {
	m.forget()
	return m.Conn.Close()
}

// leaveWithin is how long it may take to leave the group in good order.
const leaveWithin = 2 * time.Second

// leave ends the membership. Who is just joining is cut off, and missed after the session.
func (g *Group) leave() {
	left, done := context.WithTimeout(context.Background(), leaveWithin)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = g.group.Close()
		done()
	})
	<-left.Done()
	g.cut()
	wg.Wait()
}

// Run calls work while this member holds the partitions, with a context that ends when it no longer does,
// and waits for it. It returns when ctx ends (nil), when work fails (its error), or when the broker
// refuses this member for good. It leaves the group, so that the next one need not wait for the session.
func (g *Group) Run(ctx context.Context, work func(context.Context) error) error {
	defer g.leave()
	var result chan error // of work, while it runs
	stop := func() {}
	end := func() error {
		if result == nil {
			return nil
		}
		stop()
		err := <-result
		result = nil
		g.held.Set(0)
		g.holder.since.Store(0)
		return err
	}
	next := make(chan *kafka.Generation)
	failed := make(chan error)
	var wg sync.WaitGroup
	defer wg.Wait()
	joining, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		for joining.Err() == nil {
			gen, err := g.group.Next(joining)
			if err != nil {
				select {
				case failed <- err:
				case <-joining.Done():
				}
				continue
			}
			select {
			case next <- gen:
			case <-joining.Done():
			}
		}
	})
	for {
		select {
		case <-ctx.Done():
			return end()
		case err := <-result: // it is done, or failed
			stop()
			return err
		case err := <-failed:
			if why := g.o.Client.explain("kafka.Group", err); lasting(why) && !errors.Is(err, kafka.UnknownTopicOrPartition) {
				return errors.Join(why, end())
			}
			g.set(nil)
			g.o.Logger.Warn("the group is not reached: trying again", slog.Any("err", err))
		case gen := <-next:
			g.set(gen)
			g.rebalances.Inc()
			mine := 0
			for _, list := range gen.Assignments {
				mine += len(list)
			}
			g.o.Logger.Info("the group has a new generation", slog.Int64("generation", int64(gen.ID)), slog.Int("count", mine))
			switch {
			case mine == 0:
				if err := end(); err != nil {
					return err
				}
			case result == nil:
				g.holder.since.Store(int64(gen.ID))
				g.held.Set(1)
				result = make(chan error, 1)
				working, cancel := context.WithCancel(ctx)
				stop = cancel
				done := result
				go func() { // waited for by end
					defer cancel()
					done <- work(working)
				}()
			}
		}
	}
}

func (g *Group) set(gen *kafka.Generation) {
	g.mu.Lock()
	g.generation = gen
	g.mu.Unlock()
}

// Commit tells the group how far the partitions are done. Between two generations, and when this member
// is no longer the holder, it fails: the state holds the offsets that count, so the next Commit will do.
func (g *Group) Commit(list []Partition, next []int64) error {
	g.mu.Lock()
	gen := g.generation
	g.mu.Unlock()
	if gen == nil {
		return errors.New("the group has no generation now")
	}
	offsets := map[string]map[int]int64{}
	for i, p := range list {
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int]int64{}
		}
		offsets[p.Topic][p.ID] = next[i]
	}
	return gen.CommitOffsets(offsets)
}

// holder gives all partitions to one member: the one that has held them longest ago and still does, or
// else the first by name.
type holder struct {
	since atomic.Int64 // the generation in which this member became the holder, 0: it is not
}

var _ kafka.GroupBalancer = (*holder)(nil)

// ProtocolName tells it from balancers that share out: a group has one or the other.
func (h *holder) ProtocolName() string { return "voucherwatch-holder" }

// UserData is what the member says of itself when it joins.
func (h *holder) UserData() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, uint64(h.since.Load())), nil
}

// AssignGroups is called in one member of each generation. Of two that say they are the holder the later
// one is: the other was silent, and has been replaced.
func (h *holder) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	best, since := "", uint64(0)
	for _, m := range members {
		var s uint64
		if len(m.UserData) == 8 {
			s = binary.BigEndian.Uint64(m.UserData)
		}
		if best == "" || s > since || s == since && m.ID < best {
			best, since = m.ID, s
		}
	}
	all := kafka.GroupMemberAssignments{}
	for _, m := range members {
		all[m.ID] = map[string][]int{}
	}
	for _, p := range partitions {
		all[best][p.Topic] = append(all[best][p.Topic], p.ID)
	}
	return all
}

func partitionLabel(id int) string { return strconv.Itoa(id) }
