// Starts `hapir lsp` for .hap files and connects it with the editor.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function started() {
    const settings = vscode.workspace.getConfiguration("hapir");
    const [command, ...args] = settings.get("command");
    const options = {
        documentSelector: [{ language: "hap" }],
        initializationOptions: { allowOutside: settings.get("allowOutside") },
        synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.hap") },
    };
    return new LanguageClient("hapir", "hapir", { command, args }, options);
}

async function start() {
    client = started();
    try {
        await client.start();
    } catch (error) {
        client = undefined;
        vscode.window.showErrorMessage(
            `The language server of hapir does not start: ${error.message}. ` +
                "Install it with `pip install 'hapir[lsp]'`, or set `hapir.command`.",
        );
    }
}

async function stop() {
    const running = client;
    client = undefined;
    if (running !== undefined) {
        await running.stop();
    }
}

async function activate(context) {
    context.subscriptions.push(
        vscode.workspace.onDidChangeConfiguration(async (change) => {
            if (change.affectsConfiguration("hapir")) {
                await stop();
                await start();
            }
        }),
    );
    await start();
}

module.exports = { activate, deactivate: stop };
