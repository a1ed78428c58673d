-- The language server of hapir for Neovim: `require("hapir").setup()`.
local hapir = {}

--- Start the server for .hap files. `options.cmd` starts another program than `hapir lsp`,
--- `options.allow_outside` lets specs import files outside their folder.
function hapir.setup(options)
  options = options or {}
  vim.api.nvim_create_autocmd("FileType", {
    pattern = "hap",
    callback = function(event)
      local file = vim.api.nvim_buf_get_name(event.buf)
      local found = vim.fs.find({ ".git", "pyproject.toml" }, { upward = true, path = vim.fs.dirname(file) })
      vim.lsp.start({
        name = "hapir",
        cmd = options.cmd or { "hapir", "lsp" },
        root_dir = found[1] and vim.fs.dirname(found[1]) or vim.fs.dirname(file),
        init_options = { allowOutside = options.allow_outside or false },
      })
    end,
  })
end

return hapir
