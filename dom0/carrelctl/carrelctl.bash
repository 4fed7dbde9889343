# SPDX-License-Identifier: Apache-2.0
# bash completion for carrelctl(1), which knows what may come next and is asked. Its answers are data: quoted, never evaluated.
_carrelctl() {
	local current=${COMP_WORDS[COMP_CWORD]} line quoted
	local -a lines files
	COMPREPLY=()
	mapfile -t lines < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	[[ $current != = ]] || current=
	for line in "${lines[@]}"; do
		if [[ $line == :files ]]; then
			mapfile -t files < <(compgen -f -- "$current")
			compopt -o filenames 2>/dev/null
			COMPREPLY+=("${files[@]}")
		else
			printf -v quoted %q "$line"
			[[ $quoted != "$current"* ]] || COMPREPLY+=("$quoted")
		fi
	done
}
complete -F _carrelctl carrelctl
