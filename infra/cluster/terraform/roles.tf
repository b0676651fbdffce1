# Four roles, each with what access.json lets it do: driver and worker for nodes, reader and submitter for people.

locals {
  access  = jsondecode(file("${path.module}/access.json")).roles
  objects = "${aws_s3_bucket.store.arn}/${local.prefix}"
  account = data.aws_caller_identity.here.account_id
  aws     = data.aws_partition.here.partition

  nodes  = toset(["driver", "worker"])
  people = toset(["reader", "submitter"])
  actions = {
    get    = ["s3:GetObject"]
    put    = ["s3:PutObject", "s3:AbortMultipartUpload"]
    delete = ["s3:DeleteObject"]
  }

  store_policies = {
    for role, may in local.access : role => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [for verb, actions in local.actions : {
          Sid      = verb
          Effect   = "Allow"
          Action   = actions
          Resource = [for keys in may[verb] : "${local.objects}${keys}"]
        } if length(may[verb]) > 0],
        [for keys in [may.create] : {
          Sid       = "create"
          Effect    = "Allow"
          Action    = ["s3:PutObject"]
          Resource  = [for one in keys : "${local.objects}${one}"]
          Condition = { Null = { "s3:if-none-match" = "false" } }
        } if length(keys) > 0],
        [for list in [may.list] : {
          Sid      = "list"
          Effect   = "Allow"
          Action   = ["s3:ListBucket"]
          Resource = [aws_s3_bucket.store.arn]
        } if list],
        [for key in [var.kms_key_arn] : {
          Sid      = "key"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = [key]
        } if key != ""],
      )
    })
  }
}

resource "aws_iam_role" "role" {
  for_each = local.access
  name     = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = "sts:AssumeRole"
      Principal = contains(local.nodes, each.key) ? { Service = ["ec2.amazonaws.com"] } : {
        AWS = length(var.principals) > 0 ? var.principals : ["arn:${local.aws}:iam::${local.account}:root"]
      }
    }]
  })
}

resource "aws_iam_role_policy" "store" {
  for_each = local.store_policies
  name     = "store"
  role     = aws_iam_role.role[each.key].id
  policy   = each.value
}

resource "aws_iam_instance_profile" "node" {
  for_each = local.nodes
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.role[each.key].name
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  for_each   = var.session_manager ? local.nodes : toset([])
  role       = aws_iam_role.role[each.key].name
  policy_arn = "arn:${local.aws}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}
