terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = { spotrender = var.name }
  }
}

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
