package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"fairway/tools/sidebyside"
)

// peer is another program that gives the same answers.
type peer struct {
	name, configuration string
	args                func(file string) []string
}

func peers() []peer {
	return []peer{
		{nginx, nginxFile, func(file string) []string { return []string{"-c", file} }},
		{haproxy, haproxyFile, func(file string) []string { return []string{"-db", "-f", file} }},
	}
}

// command writes the peer's file and returns what starts it.
func (p peer) command(at *server, folder string) ([]string, error) {
	program, err := sidebyside.Find(p.name)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, p.name+".conf")
	text := strings.NewReplacer("CLEAR", at.clear, "ENCRYPTED", at.encrypted, "FOLDER", folder, "LOCATION", strings.TrimSuffix(redirectedTo, "/"), "MANIFEST", manifest).Replace(p.configuration)
	return append([]string{program}, p.args(file)...), os.WriteFile(file, []byte(text), 0o644)
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)+`)

// releaseOf is the version number of a peer; empty for what is none.
func releaseOf(name string) string {
	for _, p := range peers() {
		if program, err := sidebyside.Find(p.name); err == nil && p.name == name {
			out, _ := exec.Command(program, "-v").CombinedOutput()
			return versionNumber.FindString(string(out))
		}
	}
	return ""
}

// manifest is what the peers answer polls with: one of ours, for everybody the same.
const manifest = `{"VERSION":1,"TTL":30,"RELOAD-URI":"/steer/v1/www/hls?k=1~A~t1r2g0~~~~Zr3mCkV1Hq8xJ2aB","PATHWAY-PRIORITY":["A","B","C","D"]}`

// nginx is one process, so that its time is all of what it takes.
const nginxFile = `daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path FOLDER/nginx-body;
  proxy_temp_path FOLDER/nginx-proxy;
  fastcgi_temp_path FOLDER/nginx-fastcgi;
  uwsgi_temp_path FOLDER/nginx-uwsgi;
  scgi_temp_path FOLDER/nginx-scgi;
  server {
    listen CLEAR;
    listen ENCRYPTED ssl http2;
    ssl_certificate FOLDER/cert.pem;
    ssl_certificate_key FOLDER/key.pem;
    ssl_protocols TLSv1.3;
    location /r/ { return 302 LOCATION$request_uri; }
    location /steer/ { default_type application/json; add_header Cache-Control no-store; return 200 'MANIFEST'; }
  }
}
`

const haproxyFile = `global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend f
  bind CLEAR
  bind ENCRYPTED ssl crt FOLDER/both.pem alpn h2,http/1.1
  http-request return status 200 content-type application/json hdr Cache-Control no-store string 'MANIFEST' if { path_beg /steer/ }
  http-request redirect prefix LOCATION code 302
`
