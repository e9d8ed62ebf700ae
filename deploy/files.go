package deploy

import _ "embed"

// Fleet is what a fleet adds to a configuration.
//
//go:embed fleet.yaml
var Fleet string

// What the nodes of each kind may do in Consul, in its own language (HCL).
var (
	//go:embed consul/control.hcl
	ControlRules string
	//go:embed consul/edge.hcl
	EdgeRules string
	//go:embed consul/prometheus.hcl
	PrometheusRules string
)
