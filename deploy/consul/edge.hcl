# For nodes of the roles dns, http and probe: they read, and register themselves.
# Whoever takes such a token can read the configuration and say that a node is there
# or gone; no answer changes by it.
#
#   consul acl policy create -name fairway-edge -rules @edge.hcl
#   consul acl token create -description 'fairway edge' -policy-name fairway-edge
key_prefix "fairway/" {
  policy = "read"
}
service "fairway" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}
