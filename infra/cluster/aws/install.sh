# The versions that the cluster was rendered with; the code itself comes with the job.
set -e
if [ ! -x "$HOME/.spotrender/bin/ray" ]; then
  sudo apt-get -o DPkg::Lock::Timeout=600 -qq update
  sudo apt-get -o DPkg::Lock::Timeout=600 -qq install -y python3-venv >/dev/null
  python3 -m venv "$HOME/.uv" && "$HOME/.uv/bin/pip" install --quiet uv
  "$HOME/.uv/bin/uv" venv --quiet --clear --python "$SPOTRENDER_PYTHON" "$HOME/.spotrender"
  # shellcheck disable=SC2086 # a list of words, by design
  "$HOME/.uv/bin/uv" pip install --quiet --python "$HOME/.spotrender/bin/python" $SPOTRENDER_REQUIREMENTS
fi
grep -qs '/.spotrender/bin' "$HOME/.bashrc" || echo 'export PATH="$HOME/.spotrender/bin:$PATH"' >>"$HOME/.bashrc"
