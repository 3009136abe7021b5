# bash completion for godwit(1): commands, options, job and node names.
# Installed as /usr/share/bash-completion/completions/godwit.

# The connection options that were typed so far, to ask the same daemon.
_godwit_connection() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --connect | --lab) printf '%s\n' "${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}" ;;
        esac
    done
}

# Values of one string key in JSON, which has no blanks between key and value.
_godwit_values() {
    local -a connection
    mapfile -t connection < <(_godwit_connection)
    timeout 2 godwit "$1" --json "${connection[@]}" 2>/dev/null | grep -oE "\"($2)\":\"[^\"]+\"" | cut -d'"' -f4 | sort -u
}

_godwit_jobs() { _godwit_values ps 'job|name'; }
_godwit_nodes() { _godwit_values nodes 'node'; }
_godwit_labs() { ls /run/godwit-lab 2>/dev/null; }

_godwit() {
    local cur prev words cword split
    _init_completion -n = || return
    COMPREPLY=()

    local commands='run ps move cancel switch resume attach logs exec kill forwarding wait stop inspect report top nodes check events trace lab cluster join version'
    local command='' sub='' positional=0 i
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            --connect | --lab | --name | --on | --env | --cwd | --user | --forwarding | --publish | --to | --memory | --timeout | --max-freeze | \
            --progress | --console | --grace | --signal | --link | --address | --valid | --svg | --interval | --max-rounds | --on-timeout | --bandwidth | --streams | -s | -p | -n | -e | -w | -u) ((i++)) ;;
            --)
                if [[ $command == run || $command == exec || $sub == exec ]]; then
                    _command_offset $((i + 1))
                    return
                fi
                ;;
            -*) ;;
            *)
                if [[ -z $command ]]; then
                    command=${words[i]}
                elif [[ $command == @(lab|cluster) && -z $sub ]]; then
                    sub=${words[i]}
                else
                    ((positional++))
                    # what follows is somebody else's command line
                    if [[ $command == run ]] || [[ $command == exec && $positional -eq 2 ]] ||
                        [[ $sub == exec && $positional -eq 2 ]]; then
                        _command_offset "$i"
                        return
                    fi
                fi
                ;;
        esac
    done

    case $prev in
        --to | --on) COMPREPLY=($(compgen -W "$(_godwit_nodes)" -- "$cur")); return ;;
        --forwarding) COMPREPLY=($(compgen -W 'update traversal origin resend resend-notify' -- "$cur")); return ;;
        --memory) COMPREPLY=($(compgen -W 'total precopy postcopy hybrid' -- "$cur")); return ;;
        --on-timeout) COMPREPLY=($(compgen -W 'postcopy throttle cancel freeze' -- "$cur")); return ;;
        --progress) COMPREPLY=($(compgen -W 'auto plain json none' -- "$cur")); return ;;
        --user) COMPREPLY=($(compgen -u -- "$cur")); return ;;
        --cwd) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --env) COMPREPLY=($(compgen -v -- "$cur")); return ;;
        --lab) COMPREPLY=($(compgen -W "$(_godwit_labs)" -- "$cur")); return ;;
        --svg) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --connect) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --link | --bandwidth) COMPREPLY=($(compgen -W '100mbit 1gbit 10gbit' -- "$cur")); return ;;
        -s | --signal) COMPREPLY=($(compgen -W 'HUP INT QUIT KILL USR1 USR2 TERM CONT STOP' -- "$cur")); return ;;
        --name | --timeout | --max-freeze | --console | --grace | --address | --valid | --interval) return ;;
    esac

    if [[ -z $command ]]; then
        COMPREPLY=($(compgen -W "$commands --help" -- "$cur"))
        return
    fi
    if [[ $cur == -* ]]; then
        local options='--help --connect --lab'
        case $command in
            run) options+=' --detach --interactive --tty -it --name --on --env --cwd --user --forwarding --publish --no-compress --json' ;;
            ps) options+=' --all --json' ;;
            move) options+=' --to --memory --dry-run --timeout --max-freeze --max-rounds --on-timeout --bandwidth --streams --cache --mirror --progress --json' ;;
            attach) options+=' --no-stdin' ;;
            logs) options+=' --follow --console --json' ;;
            exec) options+=' --interactive --tty -it --user --env --cwd' ;;
            kill) options+=' --signal --all' ;;
            wait) options+=' --timeout --json' ;;
            stop) options+=' --grace' ;;
            report) options+=' --svg --json' ;;
            trace) options+=' --port --count --json' ;;
            top) options+=' --once --interval --json' ;;
            inspect | nodes | events) options+=' --json' ;;
            check | version) options='--help --json' ;;
            lab)
                options='--help --lab'
                case $sub in
                    up) options+=' --link --routed --debug --json' ;;
                    status | down) options+=' --json' ;;
                esac
                ;;
            cluster)
                case $sub in
                    init) options+=' --name --address --json' ;;
                    token) options+=' --valid --json' ;;
                esac
                ;;
            join) options+=' --name --address --json' ;;
        esac
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        return
    fi
    case $command in
        run) _command_offset "$cword" ;;
        kill | stop) COMPREPLY=($(compgen -W "$(_godwit_jobs)" -- "$cur")) ;;
        move | cancel | switch | resume | attach | logs | wait | inspect | report | events | trace)
            ((positional == 0)) && COMPREPLY=($(compgen -W "$(_godwit_jobs)" -- "$cur"))
            ;;
        forwarding)
            if ((positional == 0)); then
                COMPREPLY=($(compgen -W "$(_godwit_jobs)" -- "$cur"))
            elif ((positional == 1)); then
                COMPREPLY=($(compgen -W 'update traversal origin resend resend-notify' -- "$cur"))
            fi
            ;;
        exec)
            if ((positional == 0)); then
                COMPREPLY=($(compgen -W "$(_godwit_jobs)" -- "$cur"))
            else
                _command_offset "$cword"
            fi
            ;;
        lab)
            if [[ -z $sub ]]; then
                COMPREPLY=($(compgen -W 'up exec start status down' -- "$cur"))
            elif [[ $sub == exec ]]; then
                if ((positional == 0)); then
                    COMPREPLY=($(compgen -W "$(_godwit_nodes)" -- "$cur"))
                else
                    _command_offset "$cword"
                fi
            fi
            ;;
        cluster) [[ -z $sub ]] && COMPREPLY=($(compgen -W 'init token' -- "$cur")) ;;
    esac
}
complete -F _godwit godwit
