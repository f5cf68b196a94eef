package virt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// agentChannel is the name by which QEMU's guest agent is found.
const agentChannel = "org.qemu.guest_agent.0"

// element is any XML element, its content kept as it stands.
type element struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Inner   string     `xml:",innerxml"`
}

// domainXML is what this package wants to know of a domain's description.
type domainXML struct {
	Channels []struct {
		Target struct {
			Name  string `xml:"name,attr"`
			State string `xml:"state,attr"`
		} `xml:"target"`
	} `xml:"devices>channel"`
	Interfaces []element `xml:"devices>interface"`
}

// agentState reports whether a live domain has a channel for an agent, and
// whether an agent has opened it since the last boot.
func agentState(description string) (has, connected bool, err error) {
	var d domainXML
	if err := xml.Unmarshal([]byte(description), &d); err != nil {
		return false, false, fmt.Errorf("cannot read the domain's description: %v", err)
	}
	for _, c := range d.Channels {
		if c.Target.Name == agentChannel {
			return true, c.Target.State == "connected", nil
		}
	}
	return false, false, nil
}

// interfacesWithLink are the network interfaces of a domain, each with its
// link up or down and otherwise as it is.
func interfacesWithLink(description string, up bool) ([]string, error) {
	var d domainXML
	if err := xml.Unmarshal([]byte(description), &d); err != nil {
		return nil, fmt.Errorf("cannot read the domain's description: %v", err)
	}
	state := "down"
	if up {
		state = "up"
	}
	var out []string
	for _, i := range d.Interfaces {
		inner, err := withoutLink(i.Inner)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		b.WriteString("<interface")
		for _, a := range i.Attrs {
			fmt.Fprintf(&b, ` %s="%s"`, a.Name.Local, escape(a.Value))
		}
		fmt.Fprintf(&b, ">%s<link state=%q/></interface>", inner, state)
		out = append(out, b.String())
	}
	return out, nil
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// withoutLink removes the link elements at the top level of an interface.
func withoutLink(inner string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(inner))
	var b strings.Builder
	for {
		begin := d.InputOffset()
		t, err := d.Token()
		if t == nil {
			if !errors.Is(err, io.EOF) {
				return "", fmt.Errorf("cannot read an interface's description: %v", err)
			}
			return b.String(), nil
		}
		if start, ok := t.(xml.StartElement); ok {
			if err := d.Skip(); err != nil {
				return "", fmt.Errorf("cannot read an interface's description: %v", err)
			}
			if start.Name.Local == "link" {
				continue
			}
		}
		b.WriteString(inner[begin:d.InputOffset()])
	}
}
