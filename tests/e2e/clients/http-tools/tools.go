//go:build tools

// Programs that test HTTP/2 and call gRPC services; go.sum has their hashes.
package tools

import (
	_ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
	_ "github.com/summerwind/h2spec/cmd/h2spec"
)
