#!/bin/sh
# fetch.sh DIR puts the ONNX Runtime library that this package loads into DIR, with its licence.
#
# The library comes out of the Python wheel `onnxruntime`, by pip (PIP_INDEX_URL and the like hold); Python itself never
# runs it, so any Python 3 with pip will do. What is there already with the right digest is left alone.
set -eu

version=1.29.0
library=libonnxruntime.so.$version

fail() {
	echo "fetch.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || fail "usage: fetch.sh DIR"
dir=$1

# SHA-256 of the library inside the wheel, by architecture.
case $(uname -sm) in
"Linux x86_64")
	platform=manylinux_2_28_x86_64
	digest=8902e52a04bf6bf26f1613746811d6194f9c97ce7a6a7a28452b48522d3bd8d0
	;;
"Linux aarch64")
	platform=manylinux_2_28_aarch64
	digest=1444bdca675524f4d265f71397810c9b1f39164b6dccc8f1a39cd81d938e98f4
	;;
*) fail "no library is pinned for $(uname -sm); get ONNX Runtime $version from its makers and set FLAIRSTREAM_ONNXRUNTIME to its path" ;;
esac

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

if [ -f "$dir/$library" ] && [ "$(sha256 "$dir/$library")" = "$digest" ]; then
	exit 0
fi

python3 -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to fetch ONNX Runtime (on Debian: apt install python3-pip)"
mkdir -p "$dir" && [ -w "$dir" ] || fail "can not write to $dir"

# Beside the target, so that the last step is a rename: nobody ever sees half a library.
temporary=$(mktemp -d "$dir/.onnxruntime.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
trap 'exit 1' HUP INT TERM

echo "fetching ONNX Runtime $version" >&2
# One wheel serves every Python: the library does not depend on it.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
	--python-version 3.11 --implementation cp --abi cp311 --platform "$platform" \
	--dest "$temporary" "onnxruntime==$version" || fail "pip could not download onnxruntime $version for $platform; see above"
python3 -m zipfile -e "$temporary"/onnxruntime-*.whl "$temporary"

fetched=$temporary/onnxruntime/capi/$library
actual=$(sha256 "$fetched")
[ "$actual" = "$digest" ] || fail "the SHA-256 of the downloaded $library is $actual, not $digest; it is not used: try again, or ask who runs the package index"

chmod 755 "$fetched"
mv "$temporary/onnxruntime/LICENSE" "$dir/onnxruntime-LICENSE.txt"
mv "$temporary/onnxruntime/ThirdPartyNotices.txt" "$dir/onnxruntime-ThirdPartyNotices.txt"
mv "$fetched" "$dir/$library"
