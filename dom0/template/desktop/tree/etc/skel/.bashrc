# SPDX-License-Identifier: Apache-2.0
case $- in *i*) ;; *) return ;; esac
HISTCONTROL=ignoreboth
shopt -s checkwinsize
. /run/carrel-desktop/identity 2>/dev/null
PS1='\[\e[1;36m\]\h\[\e[0m\] \w \$ '
PROMPT_COMMAND='printf "\033]0;%s — %s\007" "${TITLE:-Terminal}" "${PWD/#$HOME/\~}"'
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
if [ -n "${CARREL_GREETING:-}" ]; then
	unset CARREL_GREETING
	/usr/lib/carrel-desktop/greeting
fi
