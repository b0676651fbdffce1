# Nodes reach one another and the world; nobody else reaches them, but by SSH from the addresses named.

data "aws_vpc" "cluster" {
  id      = var.vpc_id == "" ? null : var.vpc_id
  default = var.vpc_id == "" ? true : null
}

data "aws_subnets" "cluster" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.cluster.id]
  }
}

resource "aws_security_group" "cluster" {
  name        = var.name
  description = "Ray cluster of Spotrender"
  vpc_id      = data.aws_vpc.cluster.id
}

# Ray between the nodes.
resource "aws_vpc_security_group_ingress_rule" "each_other" {
  security_group_id            = aws_security_group.cluster.id
  referenced_security_group_id = aws_security_group.cluster.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each          = toset(var.ssh_cidrs)
  security_group_id = aws_security_group.cluster.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  description       = "ray up"
}

resource "aws_vpc_security_group_egress_rule" "out" {
  security_group_id = aws_security_group.cluster.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  description       = "Store, packages, weights"
}
