// Labels of buttons and dialogs, in the language that the frontend is set to. Sentences about a
// backend come from the server, in English like all its messages.

import { app } from "../../../scripts/app.js"

const TABLE = {
  en: {
    download: "Download",
    add: "Add",
    needsRemover: "No Load RMBG is connected: it says who removes the background.",
    needsTaker: "Nothing takes the cut-out yet.",
    getModel: "Get a model",
    useModel: "Use a model",
    setKey: "Set key",
    cancel: "Cancel",
    close: "Close",
    checking: "Looking...",
    linked: "Another node decides this: what it comes to is known when it runs.",
    downloading: "Downloading",
    stopped: "Stopped; what has arrived is kept.",
    modelTitle: "A model on this machine",
    here: "on this machine",
    account: "asks for a Hugging Face account",
    licence: "Licence",
    termsPage: "Accept the terms on its page first:",
    token: "Access token (HF_TOKEN); kept in your key file. Leave it empty if it is set already.",
    accept: "Accept the licence and download",
    use: "Use it",
    keyTitle: "Key for",
    keysAt: "Keys are made at",
    key: "Key; kept in your key file, readable by you alone. Never saved in a workflow.",
    save: "Keep and try",
    failed: "Not done",
  },
  zh: {
    download: "下载",
    add: "添加",
    needsRemover: "尚未连接“加载 RMBG”：由它决定用什么来移除背景。",
    needsTaker: "抠图结果还没有连接到任何节点。",
    getModel: "获取模型",
    useModel: "使用模型",
    setKey: "设置密钥",
    cancel: "取消",
    close: "关闭",
    checking: "正在检查…",
    linked: "由其他节点决定：运行时才能知道结果。",
    downloading: "正在下载",
    stopped: "已停止；已下载的部分会保留。",
    modelTitle: "本机模型",
    here: "已在本机",
    account: "需要 Hugging Face 账号",
    licence: "许可证",
    termsPage: "请先在其页面上接受条款：",
    token: "访问令牌（HF_TOKEN）；保存在您的密钥文件中。如已设置，请留空。",
    accept: "接受许可证并下载",
    use: "使用",
    keyTitle: "密钥：",
    keysAt: "在此创建密钥：",
    key: "密钥；保存在仅您可读的密钥文件中，绝不会保存到工作流里。",
    save: "保存并测试",
    failed: "未完成",
  },
  ja: {
    download: "ダウンロード",
    add: "追加：",
    needsRemover: "「RMBG を読み込む」がつながっていません。何で背景を除去するかはそこで決まります。",
    needsTaker: "切り抜きの出力先がまだありません。",
    getModel: "モデルを入手",
    useModel: "モデルを使う",
    setKey: "キーを設定",
    cancel: "キャンセル",
    close: "閉じる",
    checking: "確認中…",
    linked: "別のノードが決めます。結果は実行時に分かります。",
    downloading: "ダウンロード中",
    stopped: "停止しました。受信済みの分は保持されます。",
    modelTitle: "このマシンのモデル",
    here: "このマシンにあります",
    account: "Hugging Face アカウントが必要",
    licence: "ライセンス",
    termsPage: "先にページで規約に同意してください：",
    token: "アクセストークン（HF_TOKEN）。キーファイルに保存されます。設定済みなら空のままで構いません。",
    accept: "ライセンスに同意してダウンロード",
    use: "使う",
    keyTitle: "キー：",
    keysAt: "キーの作成ページ：",
    key: "キー。本人だけが読めるキーファイルに保存され、ワークフローには保存されません。",
    save: "保存して確認",
    failed: "完了していません",
  },
}

export function say(name) {
  const locale = app.extensionManager?.setting?.get("Comfy.Locale") ?? "en"
  const words = TABLE[locale.split("-")[0]] ?? TABLE.en
  return words[name]
}

export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6).toLocaleString("en")} MB`
}
