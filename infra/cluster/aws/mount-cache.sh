# Weights go to the node's own NVMe, where it has one; else to its root volume.
cache=/mnt/spotrender
if [ ! -e "$cache" ]; then
  disk=$(lsblk -dnpo NAME,MODEL | awk '/Instance Storage/ {print $1; exit}')
  if mountpoint -q /opt/dlami/nvme; then  # Amazon's image has mounted it already
    sudo mkdir -p /opt/dlami/nvme/spotrender && sudo ln -sfn /opt/dlami/nvme/spotrender "$cache"
  elif [ -n "$disk" ] && [ -z "$(lsblk -nro MOUNTPOINT "$disk" | tr -d '[:space:]')" ]; then
    sudo mkfs.ext4 -q -F "$disk" && sudo mkdir -p "$cache" && sudo mount -o noatime "$disk" "$cache"
  else
    sudo mkdir -p "$cache"
  fi
  sudo chown -R "$(id -u):$(id -g)" "$cache/."
fi
