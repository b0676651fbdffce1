output "store" {
  description = "For `--store`."
  value       = "s3://${aws_s3_bucket.store.id}${var.prefix == "" ? "" : "/${var.prefix}"}"
}

output "roles" {
  description = "ARN of each role."
  value       = { for role, made in aws_iam_role.role : role => made.arn }
}

output "render" {
  description = "Options for `spotrender cluster render JOB.yaml --target aws`."
  value = join(" ", concat(
    [
      "--with region=${var.region}",
      "--with security_group=${aws_security_group.cluster.id}",
      "--with subnets=${join(",", sort(data.aws_subnets.cluster.ids))}",
      "--with head_profile=${aws_iam_instance_profile.node["driver"].name}",
      "--with worker_profile=${aws_iam_instance_profile.node["worker"].name}",
      "--with name=${var.name}",
    ],
    var.session_manager ? ["--with ssm=true"] : [],
  ))
}
