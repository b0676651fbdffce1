# The head runs Ray's autoscaler: it may launch workers of its own clusters, with the worker's role and no other, and end
# them. Prices are public, and asked for while jobs run.

locals {
  ec2      = "arn:${local.aws}:ec2:${var.region}:${local.account}"
  clusters = "${var.name}-*"
}

resource "aws_iam_role_policy" "autoscaler" {
  name = "autoscaler"
  role = aws_iam_role.role["driver"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "look"
        Effect = "Allow"
        Action = [
          "ec2:DescribeInstances",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeSpotPriceHistory",
          "pricing:GetProducts",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "image"
        Effect   = "Allow"
        Action   = ["ssm:GetParameters"]
        Resource = ["arn:${local.aws}:ssm:${var.region}::parameter/aws/service/*"]
      },
      {
        Sid       = "launch"
        Effect    = "Allow"
        Action    = ["ec2:RunInstances"]
        Resource  = ["${local.ec2}:instance/*"]
        Condition = { StringLike = { "aws:RequestTag/ray-cluster-name" = local.clusters } }
      },
      {
        Sid    = "launchInto"
        Effect = "Allow"
        Action = ["ec2:RunInstances"]
        Resource = [
          "arn:${local.aws}:ec2:${var.region}::image/*",
          "${local.ec2}:image/*",
          "${local.ec2}:key-pair/*",
          "${local.ec2}:network-interface/*",
          "${local.ec2}:security-group/${aws_security_group.cluster.id}",
          "${local.ec2}:spot-instances-request/*",
          "${local.ec2}:subnet/*",
          "${local.ec2}:volume/*",
        ]
      },
      {
        Sid       = "tagAtLaunch"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags"]
        Resource  = ["${local.ec2}:instance/*", "${local.ec2}:volume/*"]
        Condition = { StringEquals = { "ec2:CreateAction" = "RunInstances" } }
      },
      {
        Sid       = "own"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags", "ec2:TerminateInstances"]
        Resource  = ["${local.ec2}:instance/*"]
        Condition = { StringLike = { "aws:ResourceTag/ray-cluster-name" = local.clusters } }
      },
      {
        Sid       = "workersRole"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [aws_iam_role.role["worker"].arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
    ]
  })
}
