package main

import (
	"context"
	"log/slog"

	"fairway/steering"
	"fairway/steering/origin"
)

// fetchManifest gives the HTTP door what origins have.
func fetchManifest(log *slog.Logger) func(context.Context, *steering.Manifests, string) (string, error) {
	fetcher := origin.New(origin.Config{UserAgent: "fairway/" + version(), Logger: log.With("part", "origins")})
	return func(ctx context.Context, from *steering.Manifests, path string) (string, error) {
		return fetcher.Get(ctx, origin.Request{Origins: from.Origins, Path: path, Fresh: from.Fresh, Stale: from.Stale, Timeout: from.Timeout})
	}
}
