package app

import "syscall"

// mountSmall puts a disk of 256 KiB on a folder.
func mountSmall(dir string) (unmount func(), err error) {
	err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=262144")
	return func() { _ = syscall.Unmount(dir, 0) }, err
}
