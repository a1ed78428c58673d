autocmd BufRead,BufNewFile *.hap setfiletype hap
