# A repository with 500 commits, packed and checked; prints what can be compared.
set -eu
export HOME="$PWD" GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A
export GIT_COMMITTER_EMAIL=a@example.org
git init -q -b main work
cd work
git config gc.auto 0
i=0
while [ "$i" -lt 500 ]; do
    i=$((i + 1))
    echo "line $i" >> "file$((i % 17))"
    GIT_AUTHOR_DATE="$((1700000000 + i)) +0000"
    GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
    export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
    git add .
    git commit -q -m "commit $i"
done
git gc -q --aggressive
git fsck --full --strict
git rev-parse HEAD
git rev-list --count HEAD
git log --stat | sha256sum
git count-objects -v | grep -E '^(count|in-pack|packs)'
