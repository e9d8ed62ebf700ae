# For control nodes: they write everything below the prefix, hold the session that
# leads, and register themselves.
#
#   consul acl policy create -name fairway-control -rules @control.hcl
#   consul acl token create -description 'fairway control' -policy-name fairway-control
key_prefix "fairway/" {
  policy = "write"
}
session_prefix "" {
  policy = "write"
}
service "fairway" {
  policy = "write"
}
# Members are listed with the state of their nodes.
node_prefix "" {
  policy = "read"
}
