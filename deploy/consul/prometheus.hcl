# For Prometheus: it finds the nodes, and reads no keys.
service "fairway" {
  policy = "read"
}
node_prefix "" {
  policy = "read"
}
