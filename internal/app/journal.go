package app

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/zeebo/xxh3"

	"voucherwatch/stream"
)

// The order in which the partitions' records were taken is written down before any result of it leaves, one
// frame for each cut: length, XXH3 hash, numbers. After a kill the same cuts are made again, so that every
// score, finding and revision is the same again. Reading the logs anew without it would do all but that:
// which of two partitions was faster is in no log.

// journal writes the cuts since a state was saved.
type journal struct {
	file  *os.File
	seen  []int64 // last offset written, by partition: differences are short
	frame []byte
}

func newJournal(file *os.File, partitions int) *journal {
	return &journal{file: file, seen: make([]int64, partitions)}
}

// add writes a cut; it is durable after a Sync of the file.
func (j *journal) add(c *stream.Cut) error {
	b := append(j.frame[:0], make([]byte, 12)...)
	steps := func(list []stream.Step) {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			b = binary.AppendUvarint(b, uint64(s.Feed))
			b = binary.AppendVarint(b, s.Offset-j.seen[s.Feed])
			j.seen[s.Feed] = s.Offset
		}
	}
	steps(c.Order)
	steps(c.Follow)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-12))
	binary.LittleEndian.PutUint64(b[4:], xxh3.Hash(b[12:]))
	j.frame = b
	_, err := j.file.Write(b)
	return err
}

// maxFrame is more than any cut needs.
const maxFrame = 64 << 20

// readJournal reads the cuts of a journal up to its end or to a frame that a kill has torn, and says how
// many bytes they take.
func readJournal(in io.Reader, partitions int, each func(order, follow []stream.Step) error) (size int64, err error) {
	r := bufio.NewReaderSize(in, 1<<20)
	seen := make([]int64, partitions)
	var buf []byte
	for {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return size, nil
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > maxFrame {
			return size, nil
		}
		if cap(buf) < int(n) {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(r, buf); err != nil || xxh3.Hash(buf) != binary.LittleEndian.Uint64(head[4:]) {
			return size, nil
		}
		b := buf
		order, ok1 := readSteps(&b, seen)
		follow, ok2 := readSteps(&b, seen)
		if !ok1 || !ok2 || len(b) != 0 {
			return size, errors.New("the journal of the order is of another build")
		}
		if err := each(order, follow); err != nil {
			return size, err
		}
		size += int64(n) + 12
	}
}

func readSteps(b *[]byte, seen []int64) (list []stream.Step, ok bool) {
	n, k := binary.Uvarint(*b)
	if k <= 0 || n > uint64(len(*b)) {
		return nil, false
	}
	*b = (*b)[k:]
	for range n {
		feed, k := binary.Uvarint(*b)
		if k <= 0 || feed >= uint64(len(seen)) {
			return nil, false
		}
		*b = (*b)[k:]
		move, k := binary.Varint(*b)
		if k <= 0 {
			return nil, false
		}
		*b = (*b)[k:]
		seen[feed] += move
		list = append(list, stream.Step{Feed: int32(feed), Offset: seen[feed]})
	}
	return list, true
}
