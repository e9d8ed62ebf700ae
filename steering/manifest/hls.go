package manifest

import (
	"errors"
	"hash/fnv"
	"strconv"
	"strings"
)

// The tags that are known here (RFC 8216bis §4.4).
const (
	tagBegin        = "#EXTM3U"
	tagDefine       = "#EXT-X-DEFINE:"
	tagData         = "#EXT-X-SESSION-DATA:"
	tagKey          = "#EXT-X-SESSION-KEY:"
	tagImages       = "#EXT-X-IMAGE-STREAM-INF:" // of no RFC, and in wide use
	tagVersion      = "#EXT-X-VERSION"
	tagVariant      = "#EXT-X-STREAM-INF:"
	tagIFrames      = "#EXT-X-I-FRAME-STREAM-INF:"
	tagMedia        = "#EXT-X-MEDIA:"
	tagSteering     = "#EXT-X-CONTENT-STEERING:"
	tagTarget       = "#EXT-X-TARGETDURATION"
	tagMediaSegment = "#EXTINF"
)

// HLS makes a multivariant playlist steerable.
func HLS(playlist string, o Options) (string, error) {
	lines := strings.SplitAfter(playlist, "\n")
	if !strings.HasPrefix(strings.TrimPrefix(lines[0], "\ufeff"), tagBegin) {
		return "", refuse(1, "not a playlist: it does not begin with %s", tagBegin)
	}
	entries, err := readEntries(lines)
	if err != nil {
		return "", err
	}
	for _, p := range o.Pathways {
		if !plain(p.ID) || !plain(p.URL) {
			return "", refuse(0, "pathway %q cannot be written into a playlist", p.ID)
		}
	}
	var b strings.Builder
	b.Grow(len(playlist) * (len(o.Pathways) + 1))
	steered := o.Steering == ""
	for i := range entries {
		e := &entries[i]
		if !steered && i > 0 && !strings.HasPrefix(e.text, tagVersion) {
			b.WriteString(tagSteering + `SERVER-URI="` + o.Steering + `",PATHWAY-ID="` + o.Pathways[0].ID + `"` + entries[0].end())
			steered = true
		}
		switch e.kind {
		case verbatim:
			b.WriteString(e.text)
		case fixed:
			if err := e.fix(&b, &o); err != nil {
				return "", refuse(0, "%v", err)
			}
		}
		// What is repeated is written where the first of its kind stood: all of the
		// first pathway, then all of the next.
		if e.first {
			for n, p := range o.Pathways {
				for k := range entries {
					if entries[k].kind != e.kind {
						continue
					}
					if err := entries[k].write(&b, &o, n, p); err != nil {
						return "", refuse(0, "pathway %s: %v", p.ID, err)
					}
				}
			}
		}
	}
	return b.String(), nil
}

// kind is what becomes of an entry.
type kind int

const (
	verbatim kind = iota
	media         // a rendition
	variant       // a variant with its URI
	iFrames       // an I-frame variant
	fixed         // what is the same on all pathways, and leads to a file of its own
	dropped
)

// entry is a line, or a variant's tag with all lines up to its URI.
type entry struct {
	kind  kind
	first bool   // of its kind, when that is repeated
	text  string // as it stands, with line ends; of a variant up to its URI
	attrs attributes
	uri   string // with its line end; of a variant
	id    string // stable id that the entry gets where it has none

	defined variables // of the playlist
}

// end is the line end of an entry's first line.
func (e *entry) end() string {
	if at := strings.IndexByte(e.text, '\n'); at > 0 && e.text[at-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// readEntries sorts the lines of a multivariant playlist.
func readEntries(lines []string) ([]entry, error) {
	var entries []entry
	seen, defined := make(map[kind]bool), make(variables)
	add := func(e entry) {
		if e.kind == media || e.kind == variant || e.kind == iFrames {
			e.first, seen[e.kind] = !seen[e.kind], true
		}
		entries = append(entries, e)
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		var err error
		e := entry{text: line}
		switch {
		case strings.HasPrefix(line, tagTarget), strings.HasPrefix(line, tagMediaSegment):
			return nil, refuse(i+1, "a media playlist: only multivariant playlists are steered")
		case strings.HasPrefix(line, tagSteering):
			e.kind = dropped
		case strings.HasPrefix(line, tagMedia):
			e.kind = media
			if e.attrs, err = readAttributes(line[len(tagMedia):]); err == nil && e.attrs.get("TYPE") == "CLOSED-CAPTIONS" {
				e.kind = verbatim
			}
		case strings.HasPrefix(line, tagDefine):
			var tag attributes
			if tag, err = readAttributes(line[len(tagDefine):]); err == nil {
				defined.define(tag)
			}
		case strings.HasPrefix(line, tagData), strings.HasPrefix(line, tagKey), strings.HasPrefix(line, tagImages):
			_, list, _ := strings.Cut(line, ":")
			if e.attrs, err = readAttributes(list); err == nil && e.attrs.get("URI") != "" {
				e.kind = fixed
			}
		case strings.HasPrefix(line, tagIFrames):
			e.kind = iFrames
			if e.attrs, err = readAttributes(line[len(tagIFrames):]); err == nil && e.attrs.get("URI") == "" {
				return nil, refuse(i+1, "an I-frame variant without a URI")
			}
		case strings.HasPrefix(line, tagVariant):
			e.kind = variant
			e.attrs, err = readAttributes(line[len(tagVariant):])
			// The URI is the next line that is neither a comment, a tag nor blank
			// (§4.4.6.2: it follows the tag).
			for i++; i < len(lines) && (strings.TrimSpace(lines[i]) == "" || lines[i][0] == '#'); i++ {
				e.text += lines[i]
			}
			if i == len(lines) {
				return nil, refuse(i, "a variant without a URI")
			}
			e.uri = lines[i]
			if !strings.HasSuffix(e.uri, "\n") {
				e.uri += "\n"
			}
		}
		if err != nil {
			return nil, refuse(i+1, "%v", err)
		}
		e.id, e.defined = stableID(&e), defined
		add(e)
	}
	if !seen[variant] {
		return nil, refuse(0, "a playlist without variants: only multivariant playlists are steered")
	}
	return entries, nil
}

// stableID is an id that stays the same as long as what a player can tell of the
// entry does, wherever it stands in the playlist.
func stableID(e *entry) string {
	h := fnv.New64a()
	h.Write([]byte(e.attrs.text()))
	h.Write([]byte(strings.TrimSpace(e.uri)))
	return "v" + strconv.FormatUint(h.Sum64(), 36)
}

// groups are the attributes by which variants name groups of renditions.
var groups = []string{"AUDIO", "VIDEO", "SUBTITLES"}

// write writes the entry as it is on pathway n.
func (e *entry) write(b *strings.Builder, o *Options, n int, p Pathway) error {
	attrs := e.attrs.clone()
	if uri := attrs.get("URI"); uri != "" {
		there, err := e.on(o, p, uri)
		if err != nil {
			return err
		}
		attrs.set("URI", there)
	}
	if e.kind == media {
		attrs.set("GROUP-ID", groupOn(attrs.get("GROUP-ID"), n, p))
		if attrs.get("URI") != "" && attrs.get("STABLE-RENDITION-ID") == "" {
			attrs.set("STABLE-RENDITION-ID", e.id)
		}
	} else {
		for _, name := range groups {
			if group := attrs.get(name); group != "" {
				attrs.set(name, groupOn(group, n, p))
			}
		}
		attrs.set("PATHWAY-ID", p.ID)
		if attrs.get("STABLE-VARIANT-ID") == "" {
			attrs.set("STABLE-VARIANT-ID", e.id)
		}
	}
	first, rest, _ := strings.Cut(e.text, "\n")
	b.WriteString(first[:strings.IndexByte(first, ':')+1] + attrs.text() + e.end() + rest)
	if e.kind == variant {
		uri := strings.TrimRight(e.uri, "\r\n")
		there, err := e.on(o, p, uri)
		if err != nil {
			return err
		}
		b.WriteString(there + e.uri[len(uri):])
	}
	return nil
}

// on gives a URI of the entry as it is on a pathway, signed.
func (e *entry) on(o *Options, p Pathway, uri string) (string, error) {
	uri, err := e.defined.in(uri)
	if err == nil && p.Sign != nil && strings.Contains(uri, "{$") {
		err = errors.New("the URI " + uri + " has a variable that has no VALUE here: it cannot be signed")
	}
	if err != nil {
		return "", err
	}
	return o.signed(p, uri)
}

// fix writes an entry that is the same on all pathways. A relative URI would lead to
// where the playlist is handed out, so it becomes that of the first pathway.
func (e *entry) fix(b *strings.Builder, o *Options) error {
	uri := e.attrs.get("URI")
	there, err := e.on(o, o.Pathways[0], uri)
	if err != nil {
		return err
	}
	b.WriteString(strings.Replace(e.text, `"`+uri+`"`, `"`+there+`"`, 1))
	return nil
}

// groupOn is the name of a group on pathway n.
func groupOn(group string, n int, p Pathway) string {
	if n == 0 {
		return group
	}
	return group + "@" + p.ID
}
