//go:build unix

package app

import (
	"os"
	"syscall"
)

// lockFile fails when another process holds the lock. The kernel drops it with the process.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
