//go:build !unix

package app

import "os"

// lockFile does nothing where there is no flock: that one process uses a directory is then up to the
// operator.
func lockFile(*os.File) error { return nil }
