package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
)

// A segment file is a header and records, little-endian:
//
//	segment: magic 8 | number 8 | first sequence 8 | end of the previous segment 8 | seed 4 | CRC32C 4
//	record:  payload length 4 | CRC32C 4 | sequence 8 | group 4 | payload
//
// group is the offset at which the group commit began that the record was written in: everything
// before it had been fsynced when the record was written. That is how a torn tail is told from damage:
// a bad record is torn if no intact record proves that it was once durable.
//
// The end of the previous segment closes that one: what lies beyond was never acknowledged.
//
// A record's CRC covers its header and payload and starts from the segment's random seed, so neither
// a stale disk block nor a client's payload that imitates a record passes for one.
const (
	segmentMagic       = "VWLOG\x00\x00\x01"
	segmentHeaderBytes = 40
	recordHeaderBytes  = 20
	// maxRecord keeps every offset in a segment below 4 GiB: the group field has 32 bits.
	maxRecord = 1 << 30
)

// castagnoli: the constructor caches the table and finds the CPU's instruction.
func castagnoli(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

type segmentHeader struct {
	number   uint64
	firstSeq uint64
	prevEnd  int64
	seed     uint32
}

func (h segmentHeader) start() Position {
	return Position{segment: h.number, offset: segmentHeaderBytes, seq: h.firstSeq}
}

func (h segmentHeader) encode() []byte {
	b := append(make([]byte, 0, segmentHeaderBytes), segmentMagic...)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.firstSeq)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.prevEnd))
	b = binary.LittleEndian.AppendUint32(b, h.seed)
	return binary.LittleEndian.AppendUint32(b, castagnoli(0, b))
}

// readSegmentHeader gives errDamaged for anything that encode did not write for this number.
func readSegmentHeader(src io.ReaderAt, number uint64) (segmentHeader, error) {
	b := make([]byte, segmentHeaderBytes)
	if _, err := src.ReadAt(b, 0); errors.Is(err, io.EOF) {
		return segmentHeader{}, damaged("the segment header is cut off")
	} else if err != nil {
		return segmentHeader{}, fmt.Errorf("read segment header: %w", err)
	}
	h := segmentHeader{
		number:   binary.LittleEndian.Uint64(b[8:]),
		firstSeq: binary.LittleEndian.Uint64(b[16:]),
		prevEnd:  int64(binary.LittleEndian.Uint64(b[24:])),
		seed:     binary.LittleEndian.Uint32(b[32:]),
	}
	switch {
	case string(b[:8]) != segmentMagic:
		return h, damaged("the segment header is not one of this format")
	case binary.LittleEndian.Uint32(b[36:]) != castagnoli(0, b[:36]):
		return h, damaged("the checksum of the segment header differs")
	case h.number != number:
		return h, damaged("the segment header is that of another segment")
	}
	return h, nil
}

// damaged is why bytes are not what was written.
type damaged string

func (d damaged) Error() string { return string(d) }

func encodeRecordHeader(seed uint32, seq uint64, group int64, payload []byte) [recordHeaderBytes]byte {
	var b [recordHeaderBytes]byte
	binary.LittleEndian.PutUint32(b[:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint32(b[16:], uint32(group))
	binary.LittleEndian.PutUint32(b[4:], recordCRC(seed, b[:], payload))
	return b
}

func recordCRC(seed uint32, header, payload []byte) uint32 {
	return castagnoli(castagnoli(castagnoli(seed, header[:4]), header[8:recordHeaderBytes]), payload)
}

// scanner reads the records of one segment in order.
type scanner struct {
	src   io.ReaderAt
	seed  uint32
	off   int64  // of the next record
	seq   uint64 // that it must have
	end   int64  // bytes from here on do not count
	group int64  // of the last record read
	r     *bufio.Reader
	buf   []byte
}

func newScanner(src io.ReaderAt, seed uint32, at Position, end int64) *scanner {
	s := &scanner{src: src, seed: seed, off: at.offset, seq: at.seq, end: end, group: at.offset, r: bufio.NewReaderSize(nil, 256<<10)}
	s.extend(end)
	return s
}

// extend moves the end; what was read ahead is read again.
func (s *scanner) extend(end int64) {
	s.end = end
	s.r.Reset(io.NewSectionReader(s.src, s.off, end-s.off))
}

// next is the next payload, valid until the following call. The error is io.EOF at the end, damaged
// if there is no intact record at s.off, else the disk's.
func (s *scanner) next() ([]byte, error) {
	left := s.end - s.off
	if left == 0 {
		return nil, io.EOF
	}
	if left < recordHeaderBytes {
		return nil, damaged("the record header is cut off")
	}
	var h [recordHeaderBytes]byte
	if err := s.fill(h[:]); err != nil {
		return nil, err
	}
	size, seq, group := int64(binary.LittleEndian.Uint32(h[:])), binary.LittleEndian.Uint64(h[8:]), int64(binary.LittleEndian.Uint32(h[16:]))
	if size > left-recordHeaderBytes {
		return nil, damaged("the record is longer than the file")
	}
	s.buf = slices.Grow(s.buf[:0], int(size))[:size]
	if err := s.fill(s.buf); err != nil {
		return nil, err
	}
	switch {
	case recordCRC(s.seed, h[:], s.buf) != binary.LittleEndian.Uint32(h[4:]):
		return nil, damaged("the checksum differs")
	case seq != s.seq:
		return nil, damaged(fmt.Sprintf("the sequence number is %d where %d is due", seq, s.seq))
	case group > s.off:
		return nil, damaged("the group starts after the record")
	}
	s.off, s.seq, s.group = s.off+recordHeaderBytes+size, seq+1, group
	return s.buf, nil
}

func (s *scanner) fill(b []byte) error {
	_, err := io.ReadFull(s.r, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return damaged("the file ends in the record")
	}
	return err
}

// frame is a record found without knowing where records start.
type frame struct {
	at      Position
	group   int64
	payload []byte
}

// intactAfter looks for records behind the damage at s.off, at every byte. It reads the rest of the
// segment into memory and is used only when something is wrong.
func (s *scanner) intactAfter(number uint64) (iter.Seq[frame], error) {
	b := make([]byte, s.end-s.off)
	if n, err := s.src.ReadAt(b, s.off); errors.Is(err, io.EOF) {
		b = b[:n]
	} else if err != nil {
		return nil, fmt.Errorf("read behind the damage: %w", err)
	}
	return func(yield func(frame) bool) {
		for i := 1; i+recordHeaderBytes <= len(b); {
			h := b[i : i+recordHeaderBytes]
			size, seq, group := int(binary.LittleEndian.Uint32(h)), binary.LittleEndian.Uint64(h[8:]), int64(binary.LittleEndian.Uint32(h[16:]))
			body := b[i+recordHeaderBytes:]
			// A record takes at least its header, so i bytes hold at most i of them.
			if seq <= s.seq || seq-s.seq > uint64(i) || size > len(body) || group > s.off+int64(i) ||
				recordCRC(s.seed, h, body[:size]) != binary.LittleEndian.Uint32(h[4:]) {
				i++
				continue
			}
			if !yield(frame{Position{number, s.off + int64(i), seq}, group, body[:size]}) {
				return
			}
			i += recordHeaderBytes + size
		}
	}, nil
}
