package stream

import (
	"context"
	"io"
	"iter"
	"sync"

	vw "voucherwatch"
)

// Pipeline reads a source in one goroutine, decodes its chunks in several and gives the batches in the
// order of the input.
type Pipeline struct {
	source  Source
	decoder *Decoder
	workers int
	queue   int
	free    chan *vw.Batch
}

// NewPipeline makes a pipeline of at least one worker, in which at most queue chunks (at least one)
// wait between the reader and the consumer.
func NewPipeline(source Source, d *Decoder, workers, queue int) *Pipeline {
	workers, queue = max(workers, 1), max(queue, 1)
	return &Pipeline{source, d, workers, queue, make(chan *vw.Batch, workers+queue+1)}
}

// Release gives a batch back for another chunk; its caller must not touch it again. A batch that is
// never released is left to the garbage collector.
func (p *Pipeline) Release(b *vw.Batch) {
	select {
	case p.free <- b:
	default:
	}
}

// job is a chunk on its way through; done holds one token when batch is ready.
type job struct {
	chunk Chunk
	batch *vw.Batch
	err   error
	done  chan struct{}
}

// Batches gives every batch of the source, once; each is the consumer's until it releases it. After
// the last one, or when the source fails or ctx ends, there is one pair with an error, which is never
// io.EOF. When the loop ends or is left, the goroutines have ended too; for that it waits until a Next
// of the source that blocks returns.
func (p *Pipeline) Batches(ctx context.Context) iter.Seq2[*vw.Batch, error] {
	return func(yield func(*vw.Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		todo, order := make(chan *job, p.queue), make(chan *job, p.queue)
		idle := make(chan *job, 2*p.queue+p.workers+2) // jobs to use again
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { p.read(ctx, todo, order, idle) })
		for range p.workers {
			wg.Go(func() {
				for j := range todo {
					if j.err == nil {
						DecodeChunk(p.decoder, &j.chunk, j.batch)
					}
					j.done <- struct{}{}
				}
			})
		}
		for j := range order {
			select {
			case <-j.done:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
			batch, err := j.batch, j.err
			j.batch = nil
			select {
			case idle <- j:
			default:
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(batch, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// read fills jobs until the source ends, and closes both queues.
func (p *Pipeline) read(ctx context.Context, todo, order chan<- *job, idle <-chan *job) {
	defer close(todo)
	defer close(order)
	for {
		var j *job
		select {
		case j = <-idle:
		default:
			j = &job{done: make(chan struct{}, 1)}
		}
		if j.err = p.source.Next(ctx, &j.chunk); j.err == io.EOF {
			return
		}
		select {
		case j.batch = <-p.free:
		default:
			j.batch = new(vw.Batch)
		}
		select {
		case order <- j:
		case <-ctx.Done():
			return
		}
		select {
		case todo <- j:
		case <-ctx.Done():
			return
		}
		if j.err != nil {
			return
		}
	}
}
