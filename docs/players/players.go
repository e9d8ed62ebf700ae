package players

import "embed"

// Files are the kit's modules, by name.
//
//go:embed *.js
var Files embed.FS
