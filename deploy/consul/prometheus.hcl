# For Prometheus: it finds the nodes, and reads no keys.
service "fairway" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
# Before anything else it asks the agent for its datacenter.
agent_prefix "" {
  policy = "read"
}
