variable "bucket" {
  description = "Name of the bucket that is made for the store; unique in the whole world."
  type        = string
}

variable "prefix" {
  description = "Folder of the store in its bucket, such as renders; empty: the bucket itself."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", var.prefix))
    error_message = "Letters, digits, - and _, with / between folders and none at the ends."
  }
}

variable "region" {
  description = "Where everything stands."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "What the names of roles, profiles and the security group begin with."
  type        = string
  default     = "spotrender"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, at most 31."
  }
}

variable "vpc_id" {
  description = "The VPC of the cluster; empty: the default one."
  type        = string
  default     = ""
}

variable "ssh_cidrs" {
  description = "Addresses from which `ray up` may reach nodes by SSH, such as 203.0.113.7/32; empty with Session Manager."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "CIDR blocks of a /16 or smaller: SSH is not for the world."
  }
}

variable "session_manager" {
  description = "Whether nodes may be reached through Session Manager (`--with ssm=true`)."
  type        = bool
  default     = false
}

variable "principals" {
  description = "ARNs of users and roles that may take the roles of reader and submitter; empty: whoever this account lets."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that encrypts the store; empty: S3's own."
  type        = string
  default     = ""
}

variable "expire_images_after_days" {
  description = "Images are removed when they are so old; 0: never. Ledger and jobs stay."
  type        = number
  default     = 0
}

variable "monthly_budget_usd" {
  description = "Costs of this account's EC2 and S3 in a month at which mail is sent; 0: no alarm."
  type        = number
  default     = 0
}

variable "budget_emails" {
  description = "Who gets that mail."
  type        = list(string)
  default     = []
  validation {
    condition     = length(var.budget_emails) <= 10
    error_message = "Ten at most."
  }
}
