if exists("b:current_syntax")
  finish
endif

syntax case match
syntax keyword hapKeyword hap import network machine recipe schedule of with on from return weights let block repeat in extends
syntax keyword hapConstant true false none
syntax match hapFormat /\v<(f32|[iu][1-9][0-9]?)>/
syntax match hapNumber /\v<[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
syntax match hapQuantity /\v<[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?[ \t]*(\%|(GiB\/cycle|Gib\/cycle|KiB\/cycle|Kib\/cycle|MiB\/cycle|Mib\/cycle|GB\/cycle|Gb\/cycle|KB\/cycle|Kb\/cycle|MB\/cycle|Mb\/cycle|B\/cycle|b\/cycle|cycles|points|GiB\/s|Gib\/s|KiB\/s|Kib\/s|MiB\/s|Mib\/s|cycle|point|words|GB\/s|Gb\/s|KB\/s|Kb\/s|MB\/s|Mb\/s|word|B\/s|GHz|GiB|Gib|KiB|Kib|MHz|MiB|Mib|b\/s|kHz|mm2|um2|GB|Gb|Hz|KB|Kb|MB|Mb|dB|fJ|mJ|mV|mW|ms|nJ|ns|pJ|ps|uJ|uW|us|B|J|V|W|b|s)([A-Za-z0-9_]|\/[^\/])@!)/
syntax match hapCall /\v<\h[0-9A-Za-z_.]*\ze\s*\(/
syntax match hapSetting /\v<\h[0-9A-Za-z_.]*\ze\s*\=/
syntax match hapOperator /->\|[-=+*:]/
syntax match hapEscape /\\["\\]/ contained
syntax region hapString start=/"/ end=/"/ oneline contains=hapEscape
syntax match hapComment /\/\/.*$/ contains=@Spell

highlight default link hapKeyword Keyword
highlight default link hapConstant Boolean
highlight default link hapFormat Type
highlight default link hapNumber Number
highlight default link hapQuantity Number
highlight default link hapCall Function
highlight default link hapSetting Identifier
highlight default link hapOperator Operator
highlight default link hapEscape SpecialChar
highlight default link hapString String
highlight default link hapComment Comment

let b:current_syntax = "hap"
