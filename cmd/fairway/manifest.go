package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"fairway/steering"
	"fairway/steering/manifest"

	"github.com/spf13/cobra"
)

func manifestCommand() *cobra.Command {
	var config, service, server string
	var o manifest.Options
	c := &cobra.Command{
		Use:   "manifest --config PATH --service S --path P [FILE]",
		Short: "Make a multivariant playlist or an MPD steerable",
		Long: `Read a multivariant playlist (HLS) or an MPD (DASH) from a file or standard input,
and print it with every variant on every pathway of a service and with the
steering server: what a packager or an origin can serve to every player. Players
that know content steering ask the server which pathway to use; the others begin
with the first. Unknown tags and elements stay as they are.`,
		Example: `  fairway manifest --config fairway.yaml --service live --path live/main.m3u8 \
    --steering https://go.video.example main.m3u8 > steered.m3u8`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			loaded, findings, err := loadFiles(config)
			if err != nil {
				tell(c.ErrOrStderr(), findings, nil, err)
				return errTold
			}
			if o.Pathways, err = pathwaysOf(loaded.Revision, service); err != nil {
				return err
			}
			name, text, err := input(c, args)
			if err != nil {
				return err
			}
			steered, err := steerManifest(text, server, service, o)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			_, err = io.WriteString(c.OutOrStdout(), steered)
			return err
		},
	}
	c.Flags().StringVarP(&config, "config", "c", "", "the configuration, a file or a folder (required)")
	c.Flags().StringVarP(&service, "service", "s", "", "the service's key (required)")
	c.Flags().StringVar(&o.Path, "path", "", "where the manifest lies below each endpoint's url, such as live/main.m3u8 (required)")
	c.Flags().StringVar(&server, "steering", "", "the HTTP door as players reach it, such as https://go.video.example; none: the manifest is only ordered")
	c.Flags().StringArrayVar(&o.Origins, "origin", nil, "a base URL by which the manifest names its own origin (repeat)")
	for _, required := range []string{"config", "service", "path"} {
		c.MarkFlagRequired(required)
	}
	return c
}

// pathwaysOf lists the pathways of a service in the order of its endpoints.
func pathwaysOf(r *steering.Revision, service string) ([]manifest.Pathway, error) {
	for _, s := range r.Services {
		if s.Key != service {
			continue
		}
		var list []manifest.Pathway
		for _, e := range s.Endpoints {
			if e.Pathway != "" && e.URL != "" {
				list = append(list, manifest.Pathway{ID: e.Pathway, URL: e.URL})
			}
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s: no endpoint of service %s has both a pathway and a url: players have nothing to be steered between", s.Place, service)
		}
		return list, nil
	}
	return nil, fmt.Errorf("there is no service %q", service)
}

// input reads the file named on the command line, or standard input.
func input(c *cobra.Command, args []string) (name, text string, err error) {
	if len(args) == 0 || args[0] == "-" {
		data, err := io.ReadAll(c.InOrStdin())
		return standardInput, string(data), err
	}
	data, err := os.ReadFile(args[0])
	return args[0], string(data), err
}

// steerManifest tells playlists from MPDs by how they begin.
func steerManifest(text, server, service string, o manifest.Options) (string, error) {
	o.Path = strings.TrimPrefix(o.Path, "/")
	make_, protocol := manifest.HLS, "hls"
	if strings.HasPrefix(strings.TrimLeft(text, "\ufeff \t\r\n"), "<") {
		make_, protocol = manifest.DASH, "dash"
	}
	if server != "" {
		o.Steering = strings.TrimSuffix(server, "/") + "/steer/v1/" + service + "/" + protocol
	}
	return make_(text, o)
}
