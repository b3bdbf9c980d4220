//go:build !unix

package ingest

import "os"

// lockFile does nothing where there is no flock: that one process uses a folder is then up to the
// operator.
func lockFile(*os.File) error { return nil }
